package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/bits"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// states is what the text of a checkpoint says.
type states struct {
	origin, durability  string
	size                int64
	root, chain, record []byte
}

var (
	decimal    = regexp.MustCompile(`^(0|[1-9][0-9]{0,15})$`)
	timestamp  = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	durability = map[string]bool{"written": true, "synced": true}
)

func readStates(text string) *states {
	rows := strings.Split(text, "\n")
	if len(rows) != 8 || rows[7] != "" || rows[0] == "" || !decimal.MatchString(rows[1]) {
		return nil
	}
	size, _ := strconv.ParseInt(rows[1], 10, 64)
	found := &states{origin: rows[0], size: size, root: hashOf(rows[2])}
	values := map[string]string{}
	for at, word := range []string{"chain", "time", "durability", "record"} {
		value, ok := strings.CutPrefix(rows[3+at], word+" ")
		if !ok {
			return nil
		}
		values[word] = value
	}
	found.chain, found.record, found.durability = hashOf(values["chain"]), hashOf(values["record"]), values["durability"]
	if found.root == nil || found.chain == nil || found.record == nil || !timestamp.MatchString(values["time"]) || !durability[found.durability] {
		return nil
	}
	return found
}

// hashOf gives the 32 bytes of canonical base64, or nil.
func hashOf(text string) []byte {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != sha256.Size || base64.StdEncoding.EncodeToString(raw) != text {
		return nil
	}
	return raw
}

// point is a checkpoint line.
type point struct {
	*line
	note           string
	keyText, next  string
	key, nextKey   note.Verifier
	states         *states
	edge           []tlog.Hash
	open, openFrom json.RawMessage
}

// readPoint reads a checkpoint line and verifies the signatures that it says it has; gives the text of a signature fault.
func readPoint(one *line) (*point, string) {
	found := &point{line: one, open: one.own["open"], openFrom: one.own["open_from"]}
	var ok bool
	if found.note, ok = asString(one.own["checkpoint"]); !ok {
		return nil, "there is no note"
	}
	var err error
	found.keyText, _ = asString(one.own["key"])
	if found.key, err = readKey(found.keyText); err != nil {
		return nil, "key: " + err.Error()
	}
	keys := []note.Verifier{found.key}
	if raw, has := one.own["next"]; has {
		found.next, _ = asString(raw)
		if found.nextKey, err = readKey(found.next); err != nil {
			return nil, "next: " + err.Error()
		}
		if found.nextKey.Name() != found.key.Name() || found.next == found.keyText {
			return nil, "the key that follows is of another name, or the same"
		}
		keys = append(keys, found.nextKey)
	}
	text, err := openOwn(found.note, keys...)
	if err != nil {
		return nil, err.Error()
	}
	found.states = readStates(text)
	return found, ""
}

// check gives what of the line is not as the page says, as far as it can be judged by itself.
func (p *point) check() string {
	if string(p.own["format"]) != "2" {
		return "not of format 2"
	}
	if p.states == nil {
		return "the note is no checkpoint"
	}
	if p.states.origin != p.key.Name() {
		return "of another ledger"
	}
	if p.states.size != p.seq-1 {
		return "another size"
	}
	if !bytes.Equal(p.states.chain, p.prev) {
		return "another chain"
	}
	marker := []byte(`,"checkpoint":"`)
	at := bytes.LastIndex(p.raw, marker)
	if at < 0 {
		return "no note"
	}
	at += len(marker)
	sum := sha256.Sum256(p.raw[:at])
	if !bytes.Equal(p.states.record, sum[:]) || string(p.raw[at:]) != strings.ReplaceAll(p.note, "\n", `\n`)+`"}}}` {
		return "another record"
	}
	var edge []string
	if json.Unmarshal(p.own["edge"], &edge) != nil || len(edge) != bits.OnesCount64(uint64(p.states.size)) {
		return "no edge of this size"
	}
	for _, text := range edge {
		raw := hashOf(text)
		if raw == nil {
			return "the edge holds what is no hash"
		}
		p.edge = append(p.edge, tlog.Hash(raw))
	}
	if root := rootOver(p.edge); !bytes.Equal(root[:], p.states.root) {
		return "the edge is not that of the root"
	}
	return ""
}

// rootOver gives the root over an edge.
func rootOver(edge []tlog.Hash) tlog.Hash {
	if len(edge) == 0 {
		return sha256.Sum256(nil)
	}
	root := edge[len(edge)-1]
	for at := len(edge) - 2; at >= 0; at-- {
		root = tlog.NodeHash(edge[at], root)
	}
	return root
}

// tree grows at its right side.
type tree struct {
	size int64
	edge []tlog.Hash
}

func (t *tree) add(digest []byte) {
	top := tlog.RecordHash(digest)
	for rest := t.size; rest&1 == 1; rest >>= 1 {
		last := len(t.edge) - 1
		top = tlog.NodeHash(t.edge[last], top)
		t.edge = t.edge[:last]
	}
	t.edge = append(t.edge, top)
	t.size++
}
