package main

import (
	"fmt"
	"math"
	"reflect"
	"testing"
)

// What a decode allocates at most, in bytes a byte of input: of what brokers read, and of
// responses. kafka/msg's tests and the fuzz targets hold it against inputs; here it is computed.
const (
	allocFactorMax         = 64
	allocFactorResponseMax = 72
)

// A count is believed if the bytes left can hold so many of the smallest elements. Elements
// that were believed and are not there are an error, which ends the input; so each level of
// nesting can spend the bytes that are left once more, and no more than once.
func TestAllocationIsBounded(t *testing.T) {
	worst, where := map[string]float64{}, map[string]string{}
	for _, f := range definitions(t) {
		for _, m := range f.Messages {
			x := reflect.TypeOf(newMessage(t, f, m)).Elem()
			factor, path := allocFactor(t, m, m.Root, x)
			limit := float64(allocFactorMax)
			if m.Kind == "response" {
				limit = allocFactorResponseMax
			}
			if factor > limit {
				t.Errorf("%s%s: up to %.0f bytes a byte", m.Root.Name, path, factor)
			}
			if factor > worst[m.Kind] {
				worst[m.Kind], where[m.Kind] = factor, m.Root.Name+path
			}
		}
	}
	for kind := range worst {
		t.Logf("%s: at most %.1f bytes a byte: %s", kind, worst[kind], where[kind])
	}
}

// allocFactor is the factor of what s holds, x being its Go type, and the path that has it.
func allocFactor(t *testing.T, m *Message, s *Struct, x reflect.Type) (worst float64, path string) {
	for _, f := range s.Fields {
		own := 0.0
		inner, ok := x.FieldByName(f.Name)
		if !ok {
			t.Fatalf("%v has no %s", x, f.Name)
		}
		element := inner.Type
		switch {
		case f.Array:
			least, err := m.elementMinBytes(f)
			if err != nil {
				t.Fatal(err)
			}
			element = element.Elem()
			own = float64(element.Size()) / float64(least)
		case f.Struct != nil && f.nullable():
			element = element.Elem()
			least := math.MaxInt // the byte that says it is there, and what it takes then
			for v := f.Null.Lo; v <= f.Null.Hi; v++ {
				least = min(least, 1+m.structMinBytes(f.Struct, v))
			}
			own = float64(element.Size()) / float64(least)
		}
		below, at := 0.0, ""
		if f.Struct != nil {
			below, at = allocFactor(t, m, f.Struct, element)
		}
		if own+below > worst {
			worst, path = own+below, fmt.Sprintf(".%s (%.0f)%s", f.Name, own, at)
		}
	}
	return worst, path
}
