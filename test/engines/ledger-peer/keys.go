package main

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// ring holds the verifier keys that are trusted.
type ring map[string]note.Verifier

var keyName = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,255}$`)

// readKey reads a verifier key in its one form.
func readKey(text string) (note.Verifier, error) {
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(text, "+", 3)
	raw, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || base64.StdEncoding.EncodeToString(raw) != parts[2] || parts[1] != strings.ToLower(parts[1]) || !keyName.MatchString(parts[0]) {
		return nil, errors.New("not a verifier key in its canonical form")
	}
	return verifier, nil
}

func newRing(files []string) (ring, error) {
	made := ring{}
	for _, file := range files {
		for _, text := range strings.Split(file, "\n") {
			text = strings.TrimSpace(text)
			if text == "" {
				continue
			}
			verifier, err := readKey(text)
			if err != nil {
				return nil, err
			}
			made[text] = verifier
		}
	}
	if len(made) == 0 {
		return nil, errors.New("there is no verifier key")
	}
	return made, nil
}

// open opens a note that was kept elsewhere.
func (r ring) open(text string) (string, error) {
	var all []note.Verifier
	for _, one := range r {
		all = append(all, one)
	}
	opened, err := note.Open([]byte(text), note.VerifierList(all...))
	if err != nil {
		return "", err
	}
	if !canonicalNote(text) {
		return "", errors.New("a signature line is not canonical")
	}
	return opened.Text, nil
}

// learn trusts both keys of a handing over where either is trusted.
func (r ring) learn(pairs [][2]string) {
	for known := -1; known != len(r); {
		known = len(r)
		for _, pair := range pairs {
			if r[pair[0]] == nil && r[pair[1]] == nil {
				continue
			}
			for _, text := range pair {
				r[text], _ = readKey(text)
			}
		}
	}
}

// canonicalNote tells whether the base64 of all signature lines is canonical.
func canonicalNote(text string) bool {
	end := strings.LastIndex(text, "\n\n")
	if end < 0 || !strings.HasSuffix(text, "\n") {
		return false
	}
	for _, signed := range signatureLines(text) {
		encoded := signed[strings.LastIndex(signed, " ")+1:]
		raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || base64.StdEncoding.EncodeToString(raw) != encoded {
			return false
		}
	}
	return true
}

func signatureLines(text string) []string {
	end := strings.LastIndex(text, "\n\n")
	if end < 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text[end+2:], "\n"), "\n")
}

// openOwn opens a note of the ledger: exactly these keys sign it, in this order.
func openOwn(text string, keys ...note.Verifier) (string, error) {
	if lines := signatureLines(text); len(lines) != len(keys) || !canonicalNote(text) {
		return "", errors.New("the signature lines are not as said")
	}
	opened, err := note.Open([]byte(text), note.VerifierList(keys...))
	if err != nil {
		return "", err
	}
	if len(opened.Sigs) != len(keys) {
		return "", errors.New("not every key signs")
	}
	for at, sig := range opened.Sigs {
		if sig.Name != keys[at].Name() || sig.Hash != keys[at].KeyHash() {
			return "", errors.New("the signatures are in another order")
		}
	}
	return opened.Text, nil
}
