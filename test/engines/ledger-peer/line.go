package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// object is a JSON object whose members are not read yet. A map, so that names are compared exactly.
type object map[string]json.RawMessage

// line is what verification needs to know of a line of the ledger.
type line struct {
	id   string
	seq  int64
	prev []byte
	kind string
	own  object
	all  object
	raw  []byte
}

var (
	kinds  = map[string]bool{"decision": true, "outcome": true, "refusal": true, "event": true, "checkpoint": true}
	number = regexp.MustCompile(`^[1-9][0-9]{0,15}$`)
	hashed = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

var errLine = errors.New("not a ledger line")

// readLine reads a line without its LF.
func readLine(raw []byte) (*line, error) {
	if !utf8.Valid(raw) {
		return nil, errLine
	}
	all := asObject(raw)
	own := asObject(asObject(all["custom"])["countersign"])
	id, okID := asString(all["decision_id"])
	prev, _ := asString(own["prev"])
	kind, _ := asString(own["kind"])
	if own == nil || !okID || !number.Match(own["seq"]) || !hashed.MatchString(prev) || !kinds[kind] {
		return nil, errLine
	}
	seq, err := strconv.ParseInt(string(own["seq"]), 10, 64)
	if err != nil || seq > 1<<53-1 {
		return nil, errLine
	}
	digest, _ := hex.DecodeString(prev[7:])
	return &line{id: id, seq: seq, prev: digest, kind: kind, own: own, all: all, raw: raw}, nil
}

// asObject gives nil when it is no object.
func asObject(raw json.RawMessage) object {
	var found object
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) || json.Unmarshal(raw, &found) != nil {
		return nil
	}
	return found
}

func asString(raw json.RawMessage) (string, bool) {
	var found *string
	if raw == nil || json.Unmarshal(raw, &found) != nil || found == nil {
		return "", false
	}
	return *found, true
}

func sha(raw []byte) []byte {
	sum := sha256.Sum256(raw)
	return sum[:]
}
