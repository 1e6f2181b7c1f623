package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const payloadType = "application/vnd.countersign.evidence+json"

type listedFile struct {
	Path   string `json:"path"`
	Sha256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

type correlation struct {
	Roots  []string `json:"roots"`
	Traces []string `json:"traces"`
	Txns   []string `json:"txns"`
	Tasks  []string `json:"tasks"`
}

type manifest struct {
	Format     int          `json:"format"`
	Task       string       `json:"task"`
	Origin     string       `json:"origin"`
	Checkpoint string       `json:"checkpoint"`
	Key        string       `json:"key"`
	Files      []listedFile `json:"files"`
	Lines      struct {
		Count int64 `json:"count"`
		First int64 `json:"first"`
		Last  int64 `json:"last"`
	} `json:"lines"`
	Root        string      `json:"root"`
	Correlation correlation `json:"correlation"`
}

type envelope struct {
	Payload     string `json:"payload"`
	PayloadType string `json:"payloadType"`
	Signatures  []struct {
		KeyID string `json:"keyid"`
		Sig   string `json:"sig"`
	} `json:"signatures"`
}

func bad(kind, file, detail string) error { return &fault{kind: kind, file: file, detail: detail} }

func verifySet(path string, opts options) (*report, error) {
	files, err := readFiles(path)
	if err != nil {
		return nil, err
	}
	keys, err := newRing(opts.keys)
	if err != nil {
		return nil, err
	}
	rep := &report{Summary: "not derived"}
	if _, merged := files["merged.json"]; merged {
		return rep, verifyMerged(files, opts, rep)
	}
	_, err = verifyPart(files, keys, rep)
	return rep, err
}

func verifyPart(files map[string][]byte, keys ring, rep *report) (*manifest, error) {
	env, body, made, err := readManifest(files)
	if err != nil {
		return nil, err
	}
	if err := verifySignatures(files, keys, env, body, made); err != nil {
		return nil, err
	}
	lines, err := readLines(files["lines.ndjson"], made)
	if err != nil {
		return nil, err
	}
	if err := verifyProofs(files["proofs.json"], lines, made); err != nil {
		return nil, err
	}
	open := map[string]bool{}
	for _, one := range lines {
		if one.kind == "decision" {
			if open[one.id] {
				return nil, &fault{"pairing", one.seq, "lines.ndjson", "a second decision of an open call"}
			}
			open[one.id] = true
		}
		if one.kind == "outcome" {
			if !open[one.id] {
				return nil, &fault{"pairing", one.seq, "lines.ndjson", "an outcome without its decision"}
			}
			delete(open, one.id)
		}
	}
	rep.Lines, rep.Open = rep.Lines+int64(len(lines)), rep.Open+len(open)
	return made, verifyCorrelation(lines, made)
}

func readManifest(files map[string][]byte) (*envelope, []byte, *manifest, error) {
	wrong := func(detail string) (*envelope, []byte, *manifest, error) {
		return nil, nil, nil, bad("manifest", "manifest.json", detail)
	}
	var env envelope
	if json.Unmarshal(files["manifest.json"], &env) != nil || env.PayloadType != payloadType || len(env.Signatures) == 0 {
		return wrong("no such envelope")
	}
	body, err := base64.StdEncoding.Strict().DecodeString(env.Payload)
	if err != nil || !isCanonical(body) {
		return wrong("the payload is not canonical JSON")
	}
	var made manifest
	if json.Unmarshal(body, &made) != nil || made.Format != 1 || made.Task == "" {
		return wrong("the payload has not the members it should")
	}
	for _, name := range []string{"format", "task", "origin", "made", "made_by", "checkpoint", "key", "files", "lines", "root", "correlation"} {
		if asObject(body)[name] == nil {
			return wrong("the payload has no " + name)
		}
	}
	listed := map[string]bool{"manifest.json": true}
	for at, one := range made.Files {
		data, there := files[one.Path]
		sum := sha256.Sum256(data)
		if at > 0 && made.Files[at-1].Path >= one.Path {
			return wrong("files are not in their order")
		}
		if !goodPath(one.Path) || !there || int64(len(data)) != one.Size || strings.TrimPrefix(one.Sha256, "sha256:") != hex.EncodeToString(sum[:]) {
			return nil, nil, nil, bad("manifest", one.Path, "not as listed")
		}
		listed[one.Path] = true
	}
	for path := range files {
		if !listed[path] {
			return nil, nil, nil, bad("manifest", path, "not listed")
		}
	}
	return &env, body, &made, nil
}

func goodPath(path string) bool {
	for _, piece := range strings.Split(path, "/") {
		if piece == "" || strings.HasPrefix(piece, ".") {
			return false
		}
	}
	return true
}

func verifySignatures(files map[string][]byte, keys ring, env *envelope, body []byte, made *manifest) error {
	var pairs [][2]string
	if text := files["handovers.ndjson"]; len(text) > 0 {
		for _, raw := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
			pair := handover(raw)
			if pair == nil {
				return bad("signature", "handovers.ndjson", "a line that hands no key over")
			}
			pairs = append(pairs, *pair)
		}
	}
	keys.learn(pairs)
	verifier := keys[made.Key]
	if verifier == nil {
		return bad("signature", "manifest.json", "the key is not trusted")
	}
	parts := strings.SplitN(made.Key, "+", 3)
	raw, _ := base64.StdEncoding.DecodeString(parts[2])
	signed := fmt.Sprintf("DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(body), body)
	verified := false
	for _, one := range env.Signatures {
		sig, err := base64.StdEncoding.DecodeString(one.Sig)
		verified = verified || err == nil && one.KeyID == parts[1] && ed25519.Verify(raw[1:], []byte(signed), sig)
	}
	if !verified {
		return bad("signature", "manifest.json", "the envelope is not signed by the key")
	}
	text, err := ring{made.Key: verifier}.open(made.Checkpoint)
	if err != nil {
		return bad("signature", "manifest.json", "checkpoint: "+err.Error())
	}
	if stated := readStates(text); stated == nil || stated.origin != made.Origin || made.Origin != parts[0] {
		return bad("signature", "manifest.json", "the checkpoint is of another ledger")
	}
	return nil
}

func readLines(text []byte, made *manifest) ([]*line, error) {
	var lines []*line
	last := int64(0)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return nil, bad("parse", "lines.ndjson", "a line without an end")
	}
	for _, raw := range bytes.SplitAfter(text, []byte("\n")) {
		if len(raw) == 0 {
			continue
		}
		one, err := readLine(bytes.TrimSuffix(raw, []byte("\n")))
		if err != nil {
			return nil, &fault{"parse", last, "lines.ndjson", "not a ledger line, after the record named"}
		}
		if one.seq <= last {
			return nil, &fault{"sequence", one.seq, "lines.ndjson", "the numbers do not ascend"}
		}
		last = one.seq
		lines = append(lines, one)
	}
	if int64(len(lines)) != made.Lines.Count || len(lines) == 0 || lines[0].seq != made.Lines.First || last != made.Lines.Last {
		return nil, bad("manifest", "manifest.json", "other lines are counted")
	}
	return lines, nil
}

func verifyProofs(text []byte, lines []*line, made *manifest) error {
	var found struct {
		Proofs []struct {
			Path []string `json:"path"`
			Seq  int64    `json:"seq"`
		} `json:"proofs"`
		Root string `json:"root"`
		Size int64  `json:"size"`
	}
	stated := heldStates(made.Checkpoint)
	if json.Unmarshal(text, &found) != nil || !isCanonical(text) || found.Size != stated.size || !bytes.Equal(hashOf(found.Root), stated.root) {
		return bad("proof", "proofs.json", "not of the checkpoint")
	}
	if len(found.Proofs) != len(lines) {
		return bad("proof", "proofs.json", "not one proof a line")
	}
	for at, one := range lines {
		digest := sha256.Sum256(one.raw)
		var path tlog.RecordProof
		for _, text := range found.Proofs[at].Path {
			if raw := hashOf(text); raw != nil {
				path = append(path, tlog.Hash(raw))
			}
		}
		if found.Proofs[at].Seq != one.seq || len(path) != len(found.Proofs[at].Path) || one.seq > found.Size ||
			tlog.CheckRecord(path, found.Size, tlog.Hash(stated.root), one.seq-1, tlog.RecordHash(digest[:])) != nil {
			return &fault{"proof", one.seq, "proofs.json", "the path does not lead to the root"}
		}
		if at > 0 && lines[at-1].seq == one.seq-1 {
			if before := sha256.Sum256(lines[at-1].raw); !bytes.Equal(before[:], one.prev) {
				return &fault{"chain", one.seq, "lines.ndjson", "prev is not the hash of the line before"}
			}
		}
	}
	return nil
}

func verifyCorrelation(lines []*line, made *manifest) error {
	roots, traces, txns, tasks := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{made.Task: true}
	named, root := false, ""
	for again := -1; again != len(tasks); {
		again = len(tasks)
		for _, one := range lines {
			task, _ := asString(one.own["task"])
			event, _ := asString(one.own["event"])
			parent, _ := asString(asObject(one.own["detail"])["parent"])
			if event == "task.opened" && tasks[parent] && task != "" {
				tasks[task] = true
			}
		}
	}
	for _, one := range lines {
		task, _ := asString(one.own["task"])
		named = named || task == made.Task
		if !tasks[task] {
			continue
		}
		kind, _ := asString(one.own["kind"])
		event, _ := asString(one.own["event"])
		detail := asObject(one.own["detail"])
		if kind == "decision" || kind == "outcome" || kind == "refusal" {
			add(roots, one.own["root"])
			add(traces, one.all["trace_id"])
			add(txns, asObject(one.own["txn"])["id"])
		} else if event == "task.opened" {
			correlation := asObject(detail["correlation"])
			add(roots, detail["root"])
			add(traces, correlation["traceId"])
			add(txns, asObject(correlation["transaction"])["id"])
		}
		if task == made.Task && root == "" {
			if found, ok := asString(one.own["root"]); ok {
				root = found
			} else if found, ok := asString(detail["root"]); ok && event == "task.opened" {
				root = found
			}
		}
	}
	if !named {
		return bad("manifest", "manifest.json", "no line names the task")
	}
	own := made.Correlation
	if !same(own.Roots, roots) || !same(own.Traces, traces) || !same(own.Txns, txns) || !same(own.Tasks, tasks) || root != "" && made.Root != root {
		return bad("correlation", "manifest.json", "not what the lines give")
	}
	return nil
}

func add(set map[string]bool, value json.RawMessage) {
	if text, ok := asString(value); ok && text != "" {
		set[text] = true
	}
}

func same(list []string, set map[string]bool) bool {
	if len(list) != len(set) || !sort.StringsAreSorted(list) {
		return false
	}
	for _, one := range list {
		if !set[one] {
			return false
		}
	}
	return true
}

func verifyMerged(files map[string][]byte, opts options, rep *report) error {
	var made struct {
		Format int    `json:"format"`
		Kind   string `json:"kind"`
		Parts  []struct {
			Origin string `json:"origin"`
			Path   string `json:"path"`
			Sha256 string `json:"sha256"`
			Task   string `json:"task"`
		} `json:"parts"`
		Correlation correlation `json:"correlation"`
	}
	if json.Unmarshal(files["merged.json"], &made) != nil || !isCanonical(files["merged.json"]) || made.Format != 1 || made.Kind != "merged" || len(made.Parts) == 0 {
		return bad("manifest", "merged.json", "no merged set")
	}
	seen := map[string]bool{"merged.json": true, "report.html": true}
	var parts []*manifest
	for at, one := range made.Parts {
		prefix := fmt.Sprintf("parts/%d/", at+1)
		own := map[string][]byte{}
		for path, data := range files {
			if strings.HasPrefix(path, prefix) {
				own[path[len(prefix):]], seen[path] = data, true
			}
		}
		sum := sha256.Sum256(own["manifest.json"])
		if strings.TrimSuffix(one.Path, "/") != strings.TrimSuffix(prefix, "/") || strings.TrimPrefix(one.Sha256, "sha256:") != hex.EncodeToString(sum[:]) {
			return bad("manifest", prefix+"manifest.json", "not as listed")
		}
		keys, err := newRing(opts.keys)
		if err != nil {
			return err
		}
		part, err := verifyPart(own, keys, rep)
		if err != nil {
			return err
		}
		if part.Origin != one.Origin || part.Task != one.Task {
			return bad("manifest", "merged.json", "another part than listed")
		}
		parts = append(parts, part)
	}
	for path := range files {
		if !seen[path] {
			return bad("manifest", path, "not listed")
		}
	}
	return belongTogether(parts, made.Correlation)
}

func belongTogether(parts []*manifest, union correlation) error {
	roots, traces, txns, tasks := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	shared := map[string]bool{}
	reached := map[int]bool{}
	add := func(at int, part *manifest) {
		reached[at] = true
		for kind, list := range map[string][]string{"r": part.Correlation.Roots, "t": part.Correlation.Traces, "x": part.Correlation.Txns} {
			for _, one := range list {
				shared[kind+one] = true
			}
		}
	}
	add(0, parts[0])
	for known := 0; known != len(reached); {
		known = len(reached)
		for at, part := range parts {
			if !reached[at] && (touches(shared, "r", part.Correlation.Roots) || touches(shared, "t", part.Correlation.Traces) || touches(shared, "x", part.Correlation.Txns)) {
				add(at, part)
			}
		}
	}
	for _, part := range parts {
		for set, list := range map[*map[string]bool][]string{&roots: part.Correlation.Roots, &traces: part.Correlation.Traces, &txns: part.Correlation.Txns, &tasks: part.Correlation.Tasks} {
			for _, one := range list {
				(*set)[one] = true
			}
		}
	}
	if len(reached) != len(parts) || !same(union.Roots, roots) || !same(union.Traces, traces) || !same(union.Txns, txns) || !same(union.Tasks, tasks) {
		return bad("correlation", "merged.json", "the parts do not belong together")
	}
	return nil
}

func touches(shared map[string]bool, kind string, list []string) bool {
	for _, one := range list {
		if shared[kind+one] {
			return true
		}
	}
	return false
}
