// Command gobs is the other side of the tests of `silverback::gorilla::gob`: Go's own encoding/gob.
//
//	gobs compare SEED COUNT
//
// prints COUNT random values as gobs, a line of hexadecimal digits each. Then it reads as many
// lines, and prints for each whether Go reads the same value from it.
//
//	gobs describe
//
// reads sessions, a line each, and prints their values in Go: `key type value`.
//
//	gobs vectors
//
// prints tests/vectors/gob_go1.19.json: a session of each kind of value.
package main

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"reflect"
	"runtime"
	"sort"
	"strconv"
	"time"
)

type session = map[interface{}]interface{}

type Role int

type Tags []string

type Person struct {
	Name    string
	Age     int8
	Admin   bool
	Role    Role
	Tags    Tags
	Visits  map[string]uint16
	Home    Address
	Work    *Address
	Born    time.Time
	Extra   interface{}
	Grid    [2][3]int32
	Ratio   float32
	Phase   complex64
	Raw     []byte
	private int
}

type Address struct {
	Street string
	Number uint
}

type Empty struct{}

// A type that contains itself.
type Node struct {
	Value    int
	Next     *Node
	Children []Node
	Named    map[string]*Node
}

// A type that is registered as a pointer.
type Pointed struct {
	Value string
}

// A type with a method for gob.
type Celsius struct {
	degrees float64
}

func (c Celsius) GobEncode() ([]byte, error) {
	return []byte(strconv.FormatFloat(c.degrees, 'g', -1, 64)), nil
}

func (c *Celsius) GobDecode(text []byte) (err error) {
	c.degrees, err = strconv.ParseFloat(string(text), 64)
	return err
}

// A type with a method for any binary format.
type Point struct {
	x, y byte
}

func (p Point) MarshalBinary() ([]byte, error) {
	return []byte{p.x, p.y}, nil
}

func (p *Point) UnmarshalBinary(data []byte) error {
	if len(data) != 2 {
		return fmt.Errorf("a point of %d bytes", len(data))
	}
	p.x, p.y = data[0], data[1]
	return nil
}

// Values of the types that gob registers itself, and of those that this program registers.
var basic = []interface{}{
	false, int(0), int8(0), int16(0), int32(0), int64(0), uint(0), uint8(0), uint16(0), uint32(0), uint64(0),
	uintptr(0), float32(0), float64(0), complex64(0), complex128(0), "", []byte(nil), []int(nil), []int8(nil),
	[]int16(nil), []int32(nil), []int64(nil), []uint(nil), []uint16(nil), []uint32(nil), []uint64(nil),
	[]uintptr(nil), []float32(nil), []float64(nil), []complex64(nil), []complex128(nil), []bool(nil), []string(nil),
}

var registered = []interface{}{
	[]interface{}(nil), session(nil), map[string]interface{}(nil), map[string]string(nil), map[int]bool(nil),
	[3]int{}, [2]string{}, []time.Time(nil), []Person(nil), []map[string]int(nil), time.Time{}, Role(0), Tags(nil),
	Person{}, Empty{}, Node{}, &Pointed{}, Celsius{}, Point{},
}

// Values of other types that a gob may have at the top, beside a session.
var tops = []interface{}{
	session(nil), map[string]string(nil), map[string]int(nil), map[string]interface{}(nil), map[string]Person(nil),
	"", Person{}, Node{}, []interface{}(nil), time.Time{},
}

var concrete = map[string]reflect.Type{}

func init() {
	for _, value := range registered {
		gob.Register(value)
	}
	for _, value := range append(append([]interface{}{}, basic...), registered...) {
		rt := reflect.TypeOf(value)
		concrete[rt.String()] = rt
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func encode(value reflect.Value) []byte {
	var out bytes.Buffer
	check(gob.NewEncoder(&out).EncodeValue(value))
	return out.Bytes()
}

func decode(data []byte, rt reflect.Type) (interface{}, error) {
	value := reflect.New(rt)
	err := gob.NewDecoder(bytes.NewReader(data)).DecodeValue(value)
	return value.Elem().Interface(), err
}

// random makes a random value of a type.
func random(r *rand.Rand, rt reflect.Type, depth int) reflect.Value {
	value := reflect.New(rt).Elem()
	count := func() int {
		if depth <= 0 {
			return 0
		}
		return r.Intn(4)
	}
	switch rt {
	case reflect.TypeOf(time.Time{}):
		at := time.Unix(r.Int63n(1<<36)-1<<34, r.Int63n(1e9))
		zones := []*time.Location{time.UTC, time.FixedZone("", 3600), time.FixedZone("", -8*3600+60), time.FixedZone("", 1172)}
		value.Set(reflect.ValueOf(at.In(zones[r.Intn(len(zones))])))
		return value
	case reflect.TypeOf(Celsius{}):
		return reflect.ValueOf(Celsius{r.NormFloat64()})
	case reflect.TypeOf(Point{}):
		return reflect.ValueOf(Point{byte(r.Intn(256)), byte(r.Intn(256))})
	}
	switch rt.Kind() {
	case reflect.Bool:
		value.SetBool(r.Intn(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		value.SetInt(int64(r.Uint64()) >> r.Intn(64))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		value.SetUint(r.Uint64() >> r.Intn(64))
	case reflect.Float32, reflect.Float64:
		value.SetFloat(r.NormFloat64())
	case reflect.Complex64, reflect.Complex128:
		value.SetComplex(complex(r.NormFloat64(), r.NormFloat64()))
	case reflect.String:
		text := make([]byte, r.Intn(20))
		r.Read(text)
		value.SetString(string(text))
	case reflect.Array:
		for i := 0; i < rt.Len(); i++ {
			value.Index(i).Set(random(r, rt.Elem(), depth-1))
		}
	case reflect.Slice:
		for n := count(); n > 0; n-- {
			value.Set(reflect.Append(value, random(r, rt.Elem(), depth-1)))
		}
	case reflect.Map:
		value.Set(reflect.MakeMap(rt))
		for n := count(); n > 0; n-- {
			value.SetMapIndex(key(r, rt.Key()), random(r, rt.Elem(), depth-1))
		}
	case reflect.Struct:
		for i := 0; i < rt.NumField(); i++ {
			if rt.Field(i).PkgPath == "" && r.Intn(4) > 0 {
				value.Field(i).Set(random(r, rt.Field(i).Type, depth-1))
			}
		}
	case reflect.Ptr:
		// A nil pointer is an error in an interface, a map and a slice.
		value.Set(reflect.New(rt.Elem()))
		if depth > 0 {
			value.Elem().Set(random(r, rt.Elem(), depth-1))
		}
	case reflect.Interface:
		if depth > 0 && r.Intn(8) > 0 {
			value.Set(random(r, anyType(r), depth-1))
		}
	default:
		panic(rt.String())
	}
	return value
}

func anyType(r *rand.Rand) reflect.Type {
	names := make([]string, 0, len(concrete))
	for name := range concrete {
		names = append(names, name)
	}
	sort.Strings(names)
	return concrete[names[r.Intn(len(names))]]
}

// key makes a random key of a map. Most keys of a session are strings.
func key(r *rand.Rand, rt reflect.Type) reflect.Value {
	if rt.Kind() != reflect.Interface {
		return random(r, rt, 0)
	}
	kinds := []interface{}{"", "", "", int(0), uint8(0), int64(0), false, 0.5, Role(0), [3]int{}}
	return random(r, reflect.TypeOf(kinds[r.Intn(len(kinds))]), 0)
}

func lines() *bufio.Scanner {
	scanner := bufio.NewScanner(os.Stdin)
	scanner.Buffer(nil, 1<<26)
	return scanner
}

func compare(seed int64, count int) {
	r := rand.New(rand.NewSource(seed))
	out := bufio.NewWriter(os.Stdout)
	written := make([]interface{}, count)
	for i := range written {
		rt := reflect.TypeOf(tops[0])
		if r.Intn(2) == 0 {
			rt = reflect.TypeOf(tops[r.Intn(len(tops))])
		}
		data := encode(random(r, rt, 5))
		// Gob does not distinguish nil from empty, so the value that Go itself reads counts.
		own, err := decode(data, rt)
		check(err)
		written[i] = own
		fmt.Fprintln(out, hex.EncodeToString(data))
	}
	check(out.Flush())
	scanner := lines()
	for _, own := range written {
		if !scanner.Scan() {
			check(fmt.Errorf("a line is missing: %v", scanner.Err()))
		}
		data, err := hex.DecodeString(scanner.Text())
		check(err)
		theirs, err := decode(data, reflect.TypeOf(own))
		switch {
		case err != nil:
			fmt.Fprintln(out, err)
		case !reflect.DeepEqual(own, theirs):
			fmt.Fprintf(out, "%#v is not %#v\n", theirs, own)
		default:
			fmt.Fprintln(out, "same")
		}
	}
	check(out.Flush())
}

func describe() {
	scanner := lines()
	for scanner.Scan() {
		data, err := hex.DecodeString(scanner.Text())
		check(err)
		values, err := decode(data, reflect.TypeOf(session(nil)))
		check(err)
		var all []string
		for key, value := range values.(session) {
			all = append(all, fmt.Sprintf("%v %T %+v", key, value, value))
		}
		sort.Strings(all)
		for _, one := range all {
			fmt.Println(one)
		}
	}
	check(scanner.Err())
}

func vectors() {
	born := time.Date(2024, 2, 29, 12, 34, 56, 789000000, time.UTC)
	person := Person{
		Name: "Ann", Age: -41, Role: 3, Tags: Tags{"a"}, Home: Address{"Main", 7}, Work: &Address{}, Born: born,
		Extra: int64(5), Grid: [2][3]int32{{1}, {0, 2}}, Raw: []byte{0, 255},
	}
	kinds := []interface{}{
		nil, true, int(-1), int8(math.MinInt8), int16(math.MinInt16), int32(math.MinInt32), int64(math.MinInt64),
		uint(1), uint8(math.MaxUint8), uint16(math.MaxUint16), uint32(math.MaxUint32), uint64(math.MaxUint64),
		uintptr(7), float32(0.5), float64(-0.1), complex64(1 + 2i), complex128(-1.5), "é", "\xff", []byte{0, 1, 2, 255},
		[]int{-1, 0, 1}, []string{"a", ""}, []bool{true, false}, []float64{0.5}, []uint16{}, [3]int{1, 0, 3},
		[]interface{}{"x", nil, []interface{}{int8(1)}}, session{7: "seven"}, map[string]interface{}{"n": nil},
		map[int]bool{0: false}, born, born.In(time.FixedZone("", 3600)), Role(3), Tags{"t"}, person, Empty{},
		Node{Value: 1, Next: &Node{Value: 2}, Children: []Node{{}}}, &Pointed{"p"}, Celsius{21.5}, Point{1, 2},
	}
	type vector struct {
		Type string `json:"type"`
		Hex  string `json:"hex"`
	}
	all := []vector{}
	for _, kind := range kinds {
		data := encode(reflect.ValueOf(session{"v": kind}))
		all = append(all, vector{fmt.Sprintf("%T", kind), hex.EncodeToString(data)})
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	check(out.Encode(map[string]interface{}{
		"go":      runtime.Version(),
		"command": "tests/go/gobs.go vectors",
		"vectors": all,
	}))
}

func main() {
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "compare":
		seed, err := strconv.ParseInt(args[1], 10, 64)
		check(err)
		count, err := strconv.Atoi(args[2])
		check(err)
		compare(seed, count)
	case len(args) == 1 && args[0] == "describe":
		describe()
	case len(args) == 1 && args[0] == "vectors":
		vectors()
	default:
		check(fmt.Errorf("usage: gobs compare SEED COUNT | describe | vectors"))
	}
}
