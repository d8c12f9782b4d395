package main

import (
	"database/sql"
	"encoding/base32"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
	_ "github.com/lib/pq"
)

// The store that keeps sessions in PostgreSQL:
//
//	server pgstore URL KEYS...
func init() {
	stores["pgstore"] = func(arguments []string) (sessions.Store, error) {
		db, err := sql.Open("postgres", arguments[0])
		if err != nil {
			return nil, err
		}
		_, err = db.Exec(`CREATE TABLE IF NOT EXISTS http_sessions (
			id BIGSERIAL PRIMARY KEY,
			key BYTEA,
			data BYTEA,
			created_on TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
			modified_on TIMESTAMPTZ,
			expires_on TIMESTAMPTZ)`)
		return rowStore{db, securecookie.CodecsFromPairs(keys(arguments[1:])...)}, err
	}
}

// rowStore keeps sessions like antonlindstrom/pgstore, which Debian does not have: a row of the
// table http_sessions, whose data is a cookie's text. If it finds no session, it inserts one under
// the ID that came. It leaves out the values for a row's times.
type rowStore struct {
	db     *sql.DB
	codecs []securecookie.Codec
}

func (s rowStore) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

func (s rowStore) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	session.Options = &sessions.Options{Path: "/", MaxAge: 30 * 24 * 60 * 60}
	session.IsNew = true
	cookie, err := r.Cookie(name)
	if err != nil {
		return session, nil
	}
	if err := securecookie.DecodeMulti(name, cookie.Value, &session.ID, s.codecs...); err != nil {
		return session, err
	}
	var id int64
	var key, data string
	var created, modified, expires time.Time
	row := s.db.QueryRow(
		"SELECT id, key, data, created_on, modified_on, expires_on FROM http_sessions WHERE key = $1",
		session.ID,
	)
	switch err := row.Scan(&id, &key, &data, &created, &modified, &expires); err {
	case nil:
	case sql.ErrNoRows:
		return session, nil
	default:
		return session, err
	}
	err = securecookie.DecodeMulti(name, data, &session.Values, s.codecs...)
	session.IsNew = err != nil
	return session, err
}

func (s rowStore) Save(r *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	if session.Options.MaxAge < 0 {
		_, err := s.db.Exec("DELETE FROM http_sessions WHERE key = $1", session.ID)
		http.SetCookie(w, sessions.NewCookie(session.Name(), "", session.Options))
		return err
	}
	if session.ID == "" {
		id := securecookie.GenerateRandomKey(32)
		session.ID = strings.TrimRight(base32.StdEncoding.EncodeToString(id), "=")
	}
	data, err := securecookie.EncodeMulti(session.Name(), session.Values, s.codecs...)
	if err != nil {
		return err
	}
	now := time.Now()
	expires := now.Add(time.Duration(session.Options.MaxAge) * time.Second)
	if session.IsNew {
		_, err = s.db.Exec(
			`INSERT INTO http_sessions (key, data, created_on, modified_on, expires_on)
			VALUES ($1, $2, $3, $4, $5)`,
			session.ID, data, now, time.Now(), expires,
		)
	} else {
		_, err = s.db.Exec(
			"UPDATE http_sessions SET data = $1, modified_on = $2, expires_on = $3 WHERE key = $4",
			data, time.Now(), expires, session.ID,
		)
	}
	if err != nil {
		return err
	}
	cookie, err := securecookie.EncodeMulti(session.Name(), session.ID, s.codecs...)
	if err == nil {
		http.SetCookie(w, sessions.NewCookie(session.Name(), cookie, session.Options))
	}
	return err
}
