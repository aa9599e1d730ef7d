package differential

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"

	"chronik/kafka/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	nullStringType = reflect.TypeFor[wire.NullString]()
	recordsType    = reflect.TypeFor[wire.Records]()
	tagsType       = reflect.TypeFor[kmsg.Tags]()
	bytesType      = reflect.TypeFor[[]byte]()
	stringPtrType  = reflect.TypeFor[*string]()
)

// filler fills messages of either codec with values.
type filler struct {
	*rand.Rand
	full bool   // nothing is null, empty or zero
	null string // this field of kmsg's ("Struct.Field") is null all the same
	tags bool   // structs of kmsg get tagged fields that nobody knows
}

// rarely is true for one value in n, never in a full one.
func (f *filler) rarely(n int) bool { return !f.full && f.IntN(n) == 0 }

func (f *filler) fill(v reflect.Value) {
	switch v.Type() {
	case nullStringType:
		if f.rarely(4) {
			v.SetZero()
			return
		}
		v.Set(reflect.ValueOf(wire.Str(f.text())))
		return
	case recordsType:
		if f.rarely(4) {
			v.SetZero()
			return
		}
		v.Set(reflect.ValueOf(wire.Records{f.bytes(), f.bytes()}))
		return
	case bytesType:
		if f.rarely(4) {
			v.SetZero()
			return
		}
		v.SetBytes(f.bytes())
		return
	case tagsType:
		v.SetZero()
		if f.tags && !f.rarely(3) {
			v.Addr().Interface().(*kmsg.Tags).Set(1000+uint32(f.IntN(1<<30)), f.bytes())
		}
		return
	}
	f.fillKind(v)
}

func (f *filler) fillKind(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.full || f.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		bits := v.Type().Bits()
		v.SetInt(f.number() << (64 - bits) >> (64 - bits))
		if f.full {
			v.SetInt(3 + f.Int64N(100))
		}
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(3 + f.IntN(math.MaxUint16-3)))
	case reflect.Float64:
		v.SetFloat(f.NormFloat64())
	case reflect.String:
		v.SetString(f.text())
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(1 + f.IntN(255)))
		}
	case reflect.Pointer:
		if v.SetZero(); !f.rarely(4) {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem())
		}
	case reflect.Slice:
		if v.SetZero(); f.rarely(6) {
			return
		}
		n := f.IntN(4)
		if f.full {
			n = 2
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" || i != 0 || v.Type().PkgPath() == reflect.TypeFor[wire.UUID]().PkgPath() {
				f.fill(v.Field(i))
			}
			if v.Type().Name()+"."+v.Type().Field(i).Name == f.null {
				v.Field(i).SetZero()
			}
		}
	default:
		panic("no values for " + v.Type().String())
	}
}

// number prefers the ends of ranges.
func (f *filler) number() int64 {
	switch f.IntN(6) {
	case 0:
		return int64(f.IntN(5)) - 2
	case 1:
		return math.MaxInt64 >> f.IntN(64)
	case 2:
		return math.MinInt64 >> f.IntN(64)
	}
	return int64(f.Uint64()) >> f.IntN(64)
}

func (f *filler) text() string { return string(f.bytes()) }

// bytes are a few, seldom none and seldom so many that the length takes two bytes.
func (f *filler) bytes() []byte {
	n := 1 + f.IntN(12)
	if f.rarely(8) {
		n = 0
	} else if f.rarely(30) {
		n = 100 + f.IntN(300)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(f.Uint32())
	}
	return b
}

// unset gives every field of that name ("Struct.Field") in v its default and
// says whether that changed anything.
func unset(v reflect.Value, name string) (changed bool) {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && unset(v.Elem(), name)
	case reflect.Slice:
		for i := range v.Len() {
			changed = unset(v.Index(i), name) || changed
		}
	case reflect.Struct:
		def := defaults(v.Type())
		for i := range v.NumField() {
			f := v.Field(i)
			if v.Type().Name()+"."+v.Type().Field(i).Name == name {
				changed = changed || !reflect.DeepEqual(f.Interface(), def.Field(i).Interface())
				f.Set(def.Field(i))
			} else if f.CanSet() {
				changed = unset(f, name) || changed
			}
		}
	}
	return changed
}

// defaults is a struct of that type with the protocol's defaults.
func defaults(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := p.Interface().(interface{ Default() }); ok {
		d.Default()
	}
	return p.Elem()
}

// same is reflect.DeepEqual, but an empty slice is like none.
func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// leaves calls f with each field of ours that is no struct or slice of structs,
// and says whether it differs from its default.
func leaves(v reflect.Value, f func(name string, set bool)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			leaves(v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			leaves(v.Index(i), f)
		}
	case reflect.Struct:
		if v.Type() == nullStringType {
			return
		}
		def := defaults(v.Type())
		for i := range v.NumField() {
			f(v.Type().Name()+"."+v.Type().Field(i).Name, !same(v.Field(i), def.Field(i)))
			leaves(v.Field(i), f)
		}
	}
}

// fields says which field of a struct of kmsg's each field of ours is: -1 for none.
func fields(ours, theirs reflect.Type) []int {
	type types struct{ ours, theirs reflect.Type }
	if m, ok := fieldMaps.Load(types{ours, theirs}); ok {
		return m.([]int)
	}
	taken := map[int]bool{}
	for i := range theirs.NumField() {
		if t := theirs.Field(i); t.Type == tagsType || i == 0 && t.Name == "Version" {
			taken[i] = true
		}
	}
	out := make([]int, ours.NumField())
	match := func(equal func(a, b reflect.StructField) bool) {
		for i := range out {
			for j := 0; out[i] < 0 && j < theirs.NumField(); j++ {
				if !taken[j] && equal(ours.Field(i), theirs.Field(j)) {
					out[i], taken[j] = j, true
				}
			}
		}
	}
	for i := range out {
		out[i] = -1
	}
	// The same name, or else the next of the same type: values tell if that is wrong.
	match(func(a, b reflect.StructField) bool {
		return plainName(a.Name) == plainName(b.Name) && class(a.Type) == class(b.Type)
	})
	for i := range out { // an alias does not take the field
		if name := aliases[ours.Name()+"."+ours.Field(i).Name]; name != "" {
			f, _ := theirs.FieldByName(name)
			out[i] = f.Index[0]
		}
	}
	match(func(a, b reflect.StructField) bool { return class(a.Type) == class(b.Type) })
	fieldMaps.Store(types{ours, theirs}, out)
	return out
}

var fieldMaps sync.Map

// plainName is a field's name without what the two spell differently.
func plainName(s string) string {
	return strings.NewReplacer("millis", "ms", "timems", "ms", "responses", "topics").Replace(strings.ToLower(s))
}

// class is what a type holds, however it holds null.
func class(t reflect.Type) string {
	switch t {
	case nullStringType, stringPtrType:
		return "string"
	case recordsType:
		return "bytes"
	case bytesType:
		return "bytes"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return class(t.Elem())
	case reflect.Slice, reflect.Array:
		return "[]" + class(t.Elem())
	}
	return t.Kind().String()
}

// compare says where the value of kmsg's differs from ours. Null and empty are
// alike: that they are kept apart is seen in the bytes.
func compare(path string, ours, theirs reflect.Value) error {
	if theirs.Kind() == reflect.Pointer {
		if theirs.IsNil() {
			return compareNull(path, ours)
		}
		theirs = theirs.Elem()
	}
	switch x := ours.Interface().(type) {
	case wire.NullString:
		return differ(path, x.String, theirs.String())
	case wire.Records:
		return differ(path, string(bytes.Join(x, nil)), string(theirs.Bytes()))
	case []byte:
		return differ(path, string(x), string(theirs.Bytes()))
	}
	switch ours.Kind() {
	case reflect.Pointer:
		if ours.IsNil() {
			return fmt.Errorf("%s: ours is null, theirs %v", path, theirs)
		}
		return compare(path, ours.Elem(), theirs)
	case reflect.Slice, reflect.Array:
		if ours.Len() != theirs.Len() {
			return fmt.Errorf("%s: %d elements of ours, %d of theirs", path, ours.Len(), theirs.Len())
		}
		for i := range ours.Len() {
			if err := compare(fmt.Sprintf("%s[%d]", path, i), ours.Index(i), theirs.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		return compareStruct(path, ours, theirs)
	case reflect.Float64:
		return differ(path, math.Float64bits(ours.Float()), math.Float64bits(theirs.Float()))
	}
	return differ(path, ours.Interface(), theirs.Convert(ours.Type()).Interface())
}

func compareNull(path string, ours reflect.Value) error {
	if s, ok := ours.Interface().(wire.NullString); ok && !s.Valid || ours.Kind() == reflect.Pointer && ours.IsNil() {
		return nil
	}
	return fmt.Errorf("%s: ours is %v, theirs null", path, ours)
}

func compareStruct(path string, ours, theirs reflect.Value) error {
	at := fields(ours.Type(), theirs.Type())
	mapped := map[int]bool{}
	ourDef, def := defaults(ours.Type()), defaults(theirs.Type())
	for i := range ours.NumField() {
		name := path + "." + ours.Type().Field(i).Name
		if i == 0 && ours.Type().Field(0).Name == "Version" && theirs.Type().Field(0).Name == "Version" {
			continue
		}
		isDefault := same(ours.Field(i), ourDef.Field(i))
		if at[i] < 0 {
			if !isDefault {
				return fmt.Errorf("%s: %v, a field that theirs lacks", name, ours.Field(i))
			}
			continue
		}
		mapped[at[i]] = true
		if isDefault && aliases[ours.Type().Name()+"."+ours.Type().Field(i).Name] == theirs.Type().Field(at[i]).Name {
			continue
		}
		if isDefault && same(theirs.Field(at[i]), def.Field(at[i])) {
			continue // perhaps a field that the version lacks: their defaults are not always ours
		}
		if err := compare(name, ours.Field(i), theirs.Field(at[i])); err != nil {
			return err
		}
	}
	for j := range theirs.NumField() {
		f := theirs.Type().Field(j)
		if !mapped[j] && f.Type != tagsType && (j != 0 || f.Name != "Version") && !same(theirs.Field(j), def.Field(j)) {
			return fmt.Errorf("%s.%s: %v, a field that ours lacks", path, f.Name, theirs.Field(j))
		}
	}
	return nil
}

func differ[T comparable](path string, ours, theirs T) error {
	if ours != theirs {
		return fmt.Errorf("%s: ours %v, theirs %v", path, ours, theirs)
	}
	return nil
}
