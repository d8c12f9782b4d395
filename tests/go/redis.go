package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/gob"
	"net/http"
	"strings"

	"github.com/boj/redistore"
	"github.com/gomodule/redigo/redis"
	"github.com/gorilla/sessions"
)

// The stores that keep sessions in Redis:
//
//	server redistore ADDRESS SERIALIZER KEYS...
//	server redisstore ADDRESS
//
// SERIALIZER is gob or json. The first is boj/redistore itself.
func init() {
	stores["redistore"] = func(arguments []string) (sessions.Store, error) {
		store, err := redistore.NewRediStore(4, "tcp", arguments[0], "", keys(arguments[2:])...)
		if err == nil && arguments[1] == "json" {
			store.SetSerializer(redistore.JSONSerializer{})
		}
		return store, err
	}
	stores["redisstore"] = func(arguments []string) (sessions.Store, error) {
		conn, err := redis.Dial("tcp", arguments[0])
		return bareStore{conn}, err
	}
}

// bareStore keeps sessions like rbcervilla/redisstore v9, which Debian does not have: a gob under
// "session:" and an ID of 64 bytes, which is plain in the cookie. It accepts any ID that comes,
// even if there is no such session. It serves one request at a time.
type bareStore struct {
	conn redis.Conn
}

func (s bareStore) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

func (s bareStore) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	session.Options = &sessions.Options{Path: "/", MaxAge: 30 * 24 * 60 * 60}
	session.IsNew = true
	cookie, err := r.Cookie(name)
	if err != nil {
		return session, nil
	}
	session.ID = cookie.Value
	value, err := redis.Bytes(s.conn.Do("GET", "session:"+session.ID))
	if err == redis.ErrNil {
		return session, nil
	}
	if err == nil {
		err = gob.NewDecoder(bytes.NewReader(value)).Decode(&session.Values)
		session.IsNew = err != nil
	}
	return session, err
}

func (s bareStore) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	if session.Options.MaxAge <= 0 {
		_, err := s.conn.Do("DEL", "session:"+session.ID)
		http.SetCookie(w, sessions.NewCookie(session.Name(), "", session.Options))
		return err
	}
	if session.ID == "" {
		id := make([]byte, 64)
		if _, err := rand.Read(id); err != nil {
			return err
		}
		session.ID = strings.TrimRight(base32.StdEncoding.EncodeToString(id), "=")
	}
	var value bytes.Buffer
	if err := gob.NewEncoder(&value).Encode(session.Values); err != nil {
		return err
	}
	_, err := s.conn.Do("SET", "session:"+session.ID, value.Bytes(), "EX", session.Options.MaxAge)
	if err == nil {
		http.SetCookie(w, sessions.NewCookie(session.Name(), session.ID, session.Options))
	}
	return err
}
