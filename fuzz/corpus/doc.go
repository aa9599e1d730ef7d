// Package corpus gives fuzz targets and tests the bytes that they start from: golden vectors and recorded traffic.
//
// It reads files of this repository, found from the directory of its own source, and so runs only where the source is.
// A plain go test gets all of them, a target that is fuzzed a quarter of vectors and traffic.
package corpus
