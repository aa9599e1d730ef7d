package shares

import "slices"

// GivesWay is who has to go so that another finds a place: the first one of a
// host that has as many as any.
func GivesWay[T any](among []T, host func(T) string) int {
	count, most := map[string]int{}, 0
	for _, c := range among {
		h := host(c)
		count[h]++
		most = max(most, count[h])
	}
	return slices.IndexFunc(among, func(c T) bool { return count[host(c)] == most })
}
