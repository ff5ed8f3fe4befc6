// Package access says who is at a page and what they may do: logins with passwords, sessions, a certificate, and a record of what was done.
package access

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"edgepdm/components/operator-console/web"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

const (
	usersFormat = 1
	// iterations of PBKDF2-HMAC-SHA256, as OWASP's Password Storage Cheat Sheet has them.
	iterations    = 600_000
	maxIterations = 10_000_000
	saltSize      = 16
	passwordSize  = 15 // random bytes: 24 characters
	maxUsers      = 100
	maxName       = 60
	maxPassword   = 200
)

// User is a login.
type User struct {
	Role       web.Role `json:"role"`
	Salt       string   `json:"salt"` // hexadecimal
	Hash       string   `json:"hash"` // hexadecimal
	Iterations int      `json:"iterations"`
}

// Users are the logins of a console. They are in a file, which `operator-console password` changes while the component runs.
type Users struct{ file durable.State[usersFile] }

type usersFile struct {
	Format int             `json:"format"`
	Users  map[string]User `json:"users"`
}

// OpenUsers returns the logins in a file.
func OpenUsers(path string) *Users {
	return &Users{durable.State[usersFile]{Path: path, Format: usersFormat, Limit: 1 << 20}}
}

// load reads the file; one that is not there has nobody.
func (u *Users) load() (usersFile, error) {
	f, err := u.file.Load()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if f.Users == nil {
		f.Users = make(map[string]User)
	}
	return f, err
}

// Names returns who has a login, sorted.
func (u *Users) Names() ([]string, error) {
	f, err := u.load()
	return slices.Sorted(maps.Keys(f.Users)), err
}

// Role returns what somebody may do.
func (u *Users) Role(name string) (web.Role, error) {
	f, err := u.load()
	return f.Users[name].Role, err
}

// Set gives somebody a new random password, and returns it.
func (u *Users) Set(name string, role web.Role) (password string, err error) {
	if err := CheckLogin(name); err != nil {
		return "", err
	}
	if !role.Known() {
		return "", fmt.Errorf("role: %.40q is none of %v", role, web.Roles())
	}
	f, err := u.load()
	if err != nil {
		return "", fmt.Errorf("read logins: %w", err)
	}
	if _, there := f.Users[name]; !there && len(f.Users) >= maxUsers {
		return "", fmt.Errorf("there are %d logins, at most %d", len(f.Users), maxUsers)
	}
	secret, salt := make([]byte, passwordSize), make([]byte, saltSize)
	_, _ = rand.Read(secret) // never fails: crypto/rand
	_, _ = rand.Read(salt)
	password = strings.ToLower(base32.StdEncoding.EncodeToString(secret))
	hash, err := derive(password, salt, iterations)
	if err != nil {
		return "", err
	}
	f.Format, f.Users[name] = usersFormat, User{role, hex.EncodeToString(salt), hex.EncodeToString(hash), iterations}
	return password, u.save(f)
}

// Remove takes somebody's login away.
func (u *Users) Remove(name string) error {
	f, err := u.load()
	if err != nil {
		return fmt.Errorf("read logins: %w", err)
	}
	if _, there := f.Users[name]; !there {
		return fmt.Errorf("there is no login %.60q", name)
	}
	delete(f.Users, name)
	return u.save(f)
}

// save writes the file, which keeps its owner: the command may run as root, the component does not.
func (u *Users) save(f usersFile) error {
	owner, err := os.Stat(u.file.Path)
	if err := u.file.Save(f); err != nil {
		return fmt.Errorf("write logins: %w", err)
	}
	if err != nil { // it is new: that of its folder
		if owner, err = os.Stat(dirOf(u.file.Path)); err != nil {
			return fmt.Errorf("write logins: %w", err)
		}
	}
	return chown(u.file.Path, owner)
}

// Check says whether a password is somebody's, and what they may do. It takes the same time for a name that there is not.
func (u *Users) Check(name, password string) (web.Role, error) {
	f, err := u.load()
	if err != nil {
		return "", fmt.Errorf("read logins: %w", err)
	}
	user, known := f.Users[name]
	if !known || user.Iterations < 1 || user.Iterations > maxIterations {
		known, user = false, User{Salt: strings.Repeat("00", saltSize), Iterations: iterations}
	}
	salt, err := hex.DecodeString(user.Salt)
	if err != nil {
		return "", fmt.Errorf("read logins: salt of %.60q: %w", name, err)
	}
	got, err := derive(password[:min(len(password), maxPassword)], salt, user.Iterations)
	if err != nil {
		return "", err
	}
	want, err := hex.DecodeString(user.Hash)
	if err != nil {
		return "", fmt.Errorf("read logins: hash of %.60q: %w", name, err)
	}
	if !known || !user.Role.Known() || subtle.ConstantTimeCompare(got, want) != 1 {
		return "", ErrPassword
	}
	return user.Role, nil
}

// ErrPassword says that name or password is wrong.
var ErrPassword = errors.New("name or password is wrong")

func derive(password string, salt []byte, rounds int) ([]byte, error) {
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return key, nil
}

// CheckLogin says whether somebody may be called so.
func CheckLogin(name string) error {
	if n := len(name); n == 0 || n > maxName || name != strings.TrimSpace(name) {
		return fmt.Errorf("name: %.60q is not 1 to %d bytes without spaces at its ends", name, maxName)
	}
	if err := event.CheckLine(name); err != nil {
		return fmt.Errorf("name: %.60q has characters that cannot be printed", name)
	}
	return nil
}
