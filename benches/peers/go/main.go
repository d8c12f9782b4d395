// Full cycles of gorilla/sessions: read the cookie, get the session, change the counter, save, set the cookie.
//
// Each line of input is a store and a number of cycles. The answer is the CPU time of these cycles in nanoseconds. The
// argument is the directory of the filesystem store.
package main

import (
	"bufio"
	"encoding/gob"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
)

const name = "session"

// A value of 119 bytes of JSON.
type profile struct {
	ID       int
	Name     string
	Mail     string
	Roles    []string
	Language string
}

var ada = profile{181512100, "Ada Lovelace", "ada.lovelace@example.com", []string{"author", "editor"}, "en-GB"}

// A response writer that discards the body.
type writer struct{ header http.Header }

func (w *writer) Header() http.Header         { return w.header }
func (w *writer) Write(b []byte) (int, error) { return len(b), nil }
func (w *writer) WriteHeader(int)             {}

// A visitor whose browser keeps the last cookie.
type visitor struct {
	store  sessions.Store
	cookie string
	count  int
}

func main() {
	gob.Register(profile{})
	hash, block := securecookie.GenerateRandomKey(64), securecookie.GenerateRandomKey(32)
	visitors := map[string]*visitor{
		"signed":     {store: sessions.NewCookieStore(hash)},
		"encrypted":  {store: sessions.NewCookieStore(hash, block)},
		"filesystem": {store: sessions.NewFilesystemStore(os.Args[1], hash)},
	}
	for _, v := range visitors {
		v.visit(v.prepare)
	}
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var store string
		var cycles int
		if _, err := fmt.Sscan(input.Text(), &store, &cycles); err != nil {
			log.Fatal(err)
		}
		v := visitors[store]
		start := cpuTime()
		for i := 0; i < cycles; i++ {
			v.visit(v.increase)
		}
		fmt.Println(cpuTime() - start)
		v.visit(v.check)
	}
}

func (v *visitor) visit(handle func(*sessions.Session)) {
	r := &http.Request{Method: "GET", Header: http.Header{}}
	if v.cookie != "" {
		r.Header["Cookie"] = []string{v.cookie}
	}
	w := &writer{http.Header{}}
	session, err := v.store.Get(r, name)
	if err != nil {
		log.Fatal(err)
	}
	handle(session)
	if err := session.Save(r, w); err != nil {
		log.Fatal(err)
	}
	v.cookie, _, _ = strings.Cut(w.header.Get("Set-Cookie"), ";")
}

func (v *visitor) prepare(session *sessions.Session) {
	session.Values["count"] = 0
	session.Values["profile"] = ada
}

func (v *visitor) increase(session *sessions.Session) {
	session.Values["count"] = session.Values["count"].(int) + 1
	v.count++
}

func (v *visitor) check(session *sessions.Session) {
	if session.IsNew || session.Values["count"] != v.count || session.Values["profile"].(profile).Name != ada.Name {
		log.Fatalf("%v after %d cycles", session.Values, v.count)
	}
}

func cpuTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
