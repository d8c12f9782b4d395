// Command server is a site in Go that keeps its sessions with gorilla/sessions, for the tests that
// share them with one in Rust.
//
//	server cookie KEYS...
//	server files FOLDER KEYS...
//
// With redis.go or postgres.go it has other stores too. KEYS are hash keys and block keys in turn,
// in hexadecimal digits; a block key may be empty. The server prints its address, and ends when its
// input does.
package main

import (
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/gorilla/sessions"
)

type Person struct {
	Name string
	Age  int8
	Tags []string
}

func init() {
	gob.Register(Person{})
	gob.Register(time.Time{})
	gob.Register(map[string]interface{}{})
}

// value makes a value of a Go type.
func value(kind, text string) (interface{}, error) {
	switch kind {
	case "string":
		return text, nil
	case "int":
		return strconv.Atoi(text)
	case "int64":
		return strconv.ParseInt(text, 10, 64)
	case "uint8":
		n, err := strconv.ParseUint(text, 10, 8)
		return uint8(n), err
	case "float32":
		f, err := strconv.ParseFloat(text, 32)
		return float32(f), err
	case "bool":
		return strconv.ParseBool(text)
	case "bytes":
		return []byte(text), nil
	case "time":
		return time.Parse(time.RFC3339Nano, text)
	case "person":
		return Person{text, 41, []string{"a", "b"}}, nil
	}
	return nil, fmt.Errorf("no type %s", kind)
}

type site struct {
	store sessions.Store
}

// with runs a handler with the session, and saves the session if the handler returns true.
func (s site) with(handle func(*sessions.Session, *http.Request, io.Writer) (bool, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		session, err := s.store.Get(r, "account")
		if err != nil {
			fmt.Fprintln(w, "refused:", err)
		}
		page := new(page)
		save, err := handle(session, r, page)
		if err == nil && save {
			err = session.Save(r, w)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Write(*page)
	}
}

type page []byte

func (p *page) Write(text []byte) (int, error) {
	*p = append(*p, text...)
	return len(text), nil
}

func show(session *sessions.Session, _ *http.Request, w io.Writer) (bool, error) {
	var lines []string
	for key, value := range session.Values {
		lines = append(lines, fmt.Sprintf("%v %T %v", key, value, value))
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	return false, nil
}

func set(session *sessions.Session, r *http.Request, _ io.Writer) (bool, error) {
	value, err := value(r.FormValue("type"), r.FormValue("value"))
	session.Values[r.FormValue("key")] = value
	return true, err
}

func setNumber(session *sessions.Session, _ *http.Request, _ io.Writer) (bool, error) {
	session.Values[42] = 43
	return true, nil
}

func flash(session *sessions.Session, r *http.Request, _ io.Writer) (bool, error) {
	session.AddFlash(r.FormValue("text"))
	return true, nil
}

func flashes(session *sessions.Session, _ *http.Request, w io.Writer) (bool, error) {
	for _, flash := range session.Flashes() {
		fmt.Fprintf(w, "%T %v\n", flash, flash)
	}
	return true, nil
}

func logout(session *sessions.Session, _ *http.Request, _ io.Writer) (bool, error) {
	session.Options.MaxAge = -1
	return true, nil
}

func keys(texts []string) [][]byte {
	var pairs [][]byte
	for _, text := range texts {
		key, err := hex.DecodeString(text)
		if err != nil {
			log.Fatal(err)
		}
		if len(key) == 0 {
			key = nil
		}
		pairs = append(pairs, key)
	}
	return pairs
}

// stores makes the store with a name from its arguments. Other files add theirs.
var stores = map[string]func(arguments []string) (sessions.Store, error){
	"cookie": func(arguments []string) (sessions.Store, error) {
		return sessions.NewCookieStore(keys(arguments)...), nil
	},
	"files": func(arguments []string) (sessions.Store, error) {
		return sessions.NewFilesystemStore(arguments[0], keys(arguments[1:])...), nil
	},
}

func main() {
	if len(os.Args) < 3 || stores[os.Args[1]] == nil {
		log.Fatal("usage: server STORE ARGUMENTS...")
	}
	store, err := stores[os.Args[1]](os.Args[2:])
	if err != nil {
		log.Fatal(err)
	}
	site := site{store}
	http.Handle("/show", site.with(show))
	http.Handle("/set", site.with(set))
	http.Handle("/set-number", site.with(setNumber))
	http.Handle("/flash", site.with(flash))
	http.Handle("/flashes", site.with(flashes))
	http.Handle("/logout", site.with(logout))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
