package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
)

var segmentName = regexp.MustCompile(`^(\d{12})\.ndjson$`)

type segment struct {
	path  string
	named int64 // -1: not named like one
	data  []byte
}

// audit reads a ledger line by line.
type audit struct {
	ring     ring
	from     int64
	file     string
	pairing  *pairing
	tree     *tree
	key      string
	held     *states
	heldRoot []byte
	first    int64
	last     int64
	hash     [sha256.Size]byte
	rep      report
	covered  int64
	// mayBegin: the furthest first line that is accounted for; said: the same, not covered by a checkpoint yet.
	mayBegin, said int64
}

// place is where a line is, for a chain fault that the next line settles.
type place struct {
	file string
	seq  int64
}

func verifyLedger(path string, opts options) (*report, error) {
	segments, err := readSegments(path)
	if err != nil {
		return nil, err
	}
	keys, err := newRing(opts.keys)
	if err != nil {
		return nil, err
	}
	keys.learn(handovers(segments))
	one := &audit{ring: keys, from: max(opts.from, 1), mayBegin: max(opts.from, 1), said: 1}
	if opts.checkpoint != "" {
		one.held = heldStates(opts.checkpoint)
	}
	bad := one.read(segments)
	if bad == nil {
		bad = one.end(opts.checkpoint)
	}
	one.rep.First, one.rep.Uncovered = one.first, one.last-one.covered
	if one.pairing != nil {
		one.rep.Open = len(one.pairing.open)
	}
	if bad != nil {
		return &one.rep, bad
	}
	return &one.rep, nil
}

func readSegments(path string) ([]segment, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	paths := []string{path}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		paths = nil
		for _, entry := range entries {
			if segmentName.MatchString(entry.Name()) {
				paths = append(paths, filepath.Join(path, entry.Name()))
			}
		}
		sort.Strings(paths)
	}
	var all []segment
	for _, one := range paths {
		data, err := os.ReadFile(one)
		if err != nil {
			return nil, err
		}
		named := int64(-1)
		if match := segmentName.FindStringSubmatch(filepath.Base(one)); match != nil {
			named, _ = strconv.ParseInt(match[1], 10, 64)
		}
		all = append(all, segment{path: filepath.Base(one), named: named, data: data})
	}
	return all, nil
}

// handovers finds the checkpoints that hand a key over, each good by itself.
func handovers(segments []segment) [][2]string {
	var pairs [][2]string
	for _, one := range segments {
		for _, raw := range bytes.Split(one.data, []byte("\n")) {
			if pair := handover(raw); pair != nil {
				pairs = append(pairs, *pair)
			}
		}
	}
	return pairs
}

func handover(raw []byte) *[2]string {
	read, err := readLine(raw)
	if err != nil || read.kind != "checkpoint" {
		return nil
	}
	point, wrong := readPoint(read)
	if wrong != "" || point.next == "" || point.check() != "" {
		return nil
	}
	return &[2]string{point.keyText, point.next}
}

func (a *audit) expected(named int64) int64 {
	if a.last > 0 {
		return a.last + 1
	}
	return max(a.from, named)
}

func (a *audit) read(segments []segment) error {
	var suspect *point
	var suspectLine *line
	var before, own place
	var suspectHash [sha256.Size]byte
	settle := func(confirmed bool) error {
		if !confirmed && suspect != nil && a.signed(suspect) == "" && suspect.states != nil {
			confirmed = bytes.Equal(suspect.states.chain, suspectLine.prev)
		}
		at := own
		if confirmed {
			at = before
		}
		return &fault{"chain", at.seq, at.file, "prev is not the hash of the line before"}
	}
	for _, one := range segments {
		a.file = one.path
		if suspectLine == nil && a.last > 0 && one.named >= 0 && one.named != a.last+1 {
			return &fault{"order", a.last + 1, one.path, "the segment is not the next"}
		}
		rows := bytes.Split(one.data, []byte("\n"))
		for at, raw := range rows[:len(rows)-1] {
			read, err := readLine(raw)
			if suspectLine != nil {
				return settle(err == nil && bytes.Equal(read.prev, suspectHash[:]))
			}
			if err == nil && a.last == 0 && read.seq < a.from {
				continue
			}
			expected := a.expected(one.named)
			switch {
			case err != nil:
				return &fault{"parse", expected, one.path, err.Error()}
			case a.last == 0 && read.seq < expected:
				return &fault{"order", read.seq, one.path, "named after a later line"}
			case read.seq != expected:
				return &fault{"sequence", expected, one.path, fmt.Sprintf("line %d is there", read.seq)}
			case at == 0 && one.named >= 0 && one.named != read.seq:
				return &fault{"order", expected, one.path, "named after another line"}
			case at == 0 && read.kind != "checkpoint":
				return &fault{"order", expected, one.path, "no checkpoint at the beginning"}
			}
			var prev []byte = a.hash[:]
			if a.last == 0 && read.seq > 1 {
				prev = read.prev
			}
			if !bytes.Equal(prev, read.prev) {
				if a.last == 0 {
					return &fault{"chain", read.seq, one.path, "the first line has a line before it"}
				}
				before, own = place{a.file, a.last}, place{one.path, read.seq}
				suspectLine, suspectHash = read, sha256.Sum256(raw)
				if read.kind == "checkpoint" {
					suspect, _ = readPoint(read)
				}
				continue
			}
			if err := a.take(read); err != nil {
				return err
			}
		}
		if rest := rows[len(rows)-1]; len(rest) > 0 {
			if suspectLine != nil {
				return settle(false)
			}
			return &fault{"truncated", a.expected(one.named), one.path, "bytes without an end"}
		}
	}
	if suspectLine != nil {
		return settle(false)
	}
	return nil
}

func (a *audit) take(read *line) error {
	if a.last == 0 {
		a.first = read.seq
		a.pairing = &pairing{open: map[string]int64{}, whole: read.seq == 1}
		if read.seq == 1 {
			a.tree = &tree{}
			a.reach()
		}
	}
	a.last = read.seq
	a.rep.Lines++
	if read.kind == "checkpoint" {
		if bad := a.checkpoint(read); bad != nil {
			return bad
		}
	}
	if wrong := a.pairing.take(read); wrong != "" {
		return &fault{"pairing", read.seq, a.file, wrong}
	}
	a.hash = sha256.Sum256(read.raw)
	if a.tree != nil {
		a.tree.add(a.hash[:])
		a.reach()
	}
	if event, _ := asString(read.own["event"]); read.kind == "event" && event == "ledger.pruned" {
		if first, err := strconv.ParseInt(string(asObject(read.own["detail"])["first"]), 10, 64); err == nil {
			a.said = max(a.said, first)
		}
	}
	return nil
}

// signed gives what is wrong with who signed.
func (a *audit) signed(point *point) string {
	if a.key == "" && a.ring[point.keyText] == nil {
		return "signed with a key that is not trusted"
	}
	if a.key != "" && a.key != point.keyText {
		return "signed with another key"
	}
	return ""
}

func (a *audit) checkpoint(read *line) error {
	point, wrong := readPoint(read)
	if wrong == "" {
		wrong = a.signed(point)
	}
	if wrong != "" {
		return &fault{"signature", read.seq, a.file, wrong}
	}
	if wrong := point.check(); wrong != "" {
		return &fault{"checkpoint", read.seq, a.file, wrong}
	}
	if a.tree == nil {
		a.tree = &tree{size: point.states.size, edge: append(point.edge[:0:0], point.edge...)}
		a.reach()
	}
	for at, hash := range a.tree.edge {
		if point.edge[at] != hash {
			return &fault{"checkpoint", read.seq, a.file, "another tree"}
		}
	}
	if wrong := a.pairing.stated(point); wrong != "" {
		return &fault{"pairing", read.seq, a.file, wrong}
	}
	a.rep.Checkpoints++
	a.covered = read.seq
	a.mayBegin = max(a.mayBegin, a.said)
	a.key = point.keyText
	if point.next != "" {
		a.key = point.next
		a.ring[point.next] = point.nextKey
	}
	return nil
}

func (a *audit) reach() {
	if a.held != nil && a.tree.size == a.held.size {
		root := rootOver(a.tree.edge)
		a.heldRoot = root[:]
	}
}

// end judges what should have been there and was not.
func (a *audit) end(held string) error {
	if a.last == 0 {
		return &fault{"truncated", a.from, a.file, "there is no line"}
	}
	if a.rep.Checkpoints == 0 {
		return &fault{"signature", 1, a.file, "there is no checkpoint"}
	}
	if held != "" {
		if bad := a.heldFault(held); bad != nil {
			return bad
		}
	}
	if a.first > a.mayBegin {
		return &fault{"truncated", a.mayBegin, a.file, "lines are missing at the beginning"}
	}
	return nil
}

func (a *audit) heldFault(held string) error {
	if _, err := a.ring.open(held); err != nil {
		return &fault{"signature", 0, "", "the checkpoint given: " + err.Error()}
	}
	verifier, err := readKey(a.key)
	if a.held == nil || err != nil || a.held.origin != verifier.Name() {
		return &fault{"signature", 0, "", "the checkpoint given is none of this ledger"}
	}
	switch {
	case a.heldRoot != nil && !bytes.Equal(a.heldRoot, a.held.root):
		return &fault{"checkpoint", a.held.size, "", "the tree has another root"}
	case a.last <= a.held.size:
		return &fault{"truncated", a.last + 1, a.file, "no line follows the checkpoint given"}
	case a.heldRoot == nil:
		return &fault{"truncated", a.held.size, a.file, "the lines of the checkpoint given are gone"}
	}
	return nil
}

func heldStates(text string) *states {
	if end := bytes.LastIndex([]byte(text), []byte("\n\n")); end >= 0 {
		return readStates(text[:end+1])
	}
	return nil
}
