package source

import (
	"crypto/sha256"
	"sync"
	"time"
)

// Accounts keeps in mind what is to be known of accounts on servers for longer
// than a source lives that uses them: that a login was refused, as the server may
// lock the account out when it is tried on and on, and what an operator was told.
// Sources that share it may be used concurrently. The zero Accounts knows nothing.
type Accounts struct {
	mu      sync.Mutex
	told    map[string]struct{}
	refused map[string]map[secretSum]*refusal // by account
}

// A secretSum stands for what a login was tried with.
type secretSum [sha256.Size]byte

// A refusal is of one password, and all else of a login.
type refusal struct {
	times int // since a login worked
	pause *pauseError
}

// first reports whether that was not told of the account before.
func (a *Accounts) first(account, what string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told == nil {
		a.told = make(map[string]struct{})
	}
	key := account + "\x00" + what
	_, known := a.told[key]
	a.told[key] = struct{}{}
	return !known
}

// An account is one of a pool.
type account struct {
	*Accounts
	name     string
	password func() (string, error) // nil: the login needs none
}

// sum is that of the password as it is now; zero for none, and for one that
// cannot be read.
func (a *account) sum() secretSum {
	if a.password == nil {
		return secretSum{}
	}
	text, err := a.password()
	if err != nil {
		return secretSum{}
	}
	return sha256.Sum256([]byte(text))
}

// anyRefused reports whether a login was refused: of most accounts none ever is.
func (a *account) anyRefused() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.refused[a.name]) > 0
}

// refuse notes that a login was refused that was tried with what sum stands for,
// and returns how often it was.
func (a *account) refuse(sum secretSum) (times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused == nil {
		a.refused = make(map[string]map[secretSum]*refusal)
	}
	if a.refused[a.name] == nil {
		a.refused[a.name] = make(map[secretSum]*refusal)
	}
	r := a.refused[a.name][sum]
	if r == nil {
		r = &refusal{}
		a.refused[a.name][sum] = r
	}
	r.times++
	return r.times
}

// pauses has the login let alone, which was refused.
func (a *account) pauses(sum secretSum, p *pauseError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.refused[a.name][sum]; r != nil {
		r.pause = p
	}
}

// paused is for how long and why the login is to be let alone; nil where it may
// be tried.
func (a *account) paused() *pauseError {
	if !a.anyRefused() {
		return nil
	}
	sum := a.sum()
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.refused[a.name][sum]; r != nil && r.pause != nil && time.Now().Before(r.pause.until) {
		return r.pause
	}
	return nil
}

// worked notes that a login did.
func (a *account) worked(sum secretSum) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if delete(a.refused[a.name], sum); len(a.refused[a.name]) == 0 {
		delete(a.refused, a.name)
	}
}
