// Command ledger-peer verifies ledgers and evidence sets of Countersign. It is written from docs/ledger-format.md and
// docs/evidence-format.md alone and shares no code with the product: notes, proofs and tiles are judged by golang.org/x/mod.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// sources tells apart what the program is made of; set when it is built.
var sources = "unknown"

// fault is the first thing that is wrong.
type fault struct {
	kind   string
	record int64
	file   string
	detail string
}

func (f *fault) Error() string {
	return fmt.Sprintf("%s: record %d %s: %s", f.kind, f.record, f.file, f.detail)
}

var exits = map[string]int{
	"parse": 10, "order": 11, "sequence": 11, "chain": 12, "checkpoint": 13, "signature": 14, "pairing": 15, "truncated": 16,
	"proof": 17, "manifest": 18, "correlation": 19, "summary": 20,
}

const wrongUsage = 64

// report is what is said of a ledger or a set, as one line of JSON.
type report struct {
	OK          bool   `json:"ok"`
	Fault       string `json:"fault,omitempty"`
	Record      int64  `json:"record"`
	File        string `json:"file,omitempty"`
	Detail      string `json:"detail,omitempty"`
	Exit        int    `json:"exit"`
	Lines       int64  `json:"lines"`
	First       int64  `json:"first"`
	Checkpoints int    `json:"checkpoints"`
	Uncovered   int64  `json:"uncovered"`
	Open        int    `json:"open"`
	Summary     string `json:"summary,omitempty"`
}

type options struct {
	keys       []string
	checkpoint string
	from       int64
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println("ledger-peer", sources)
		return
	}
	if len(os.Args) < 3 {
		usage()
	}
	path, opts := os.Args[2], options{}
	for at := 3; at < len(os.Args); at += 2 {
		if at+1 == len(os.Args) {
			usage()
		}
		word, value := os.Args[at], os.Args[at+1]
		switch word {
		case "--key":
			opts.keys = append(opts.keys, must(os.ReadFile(value)))
		case "--checkpoint":
			opts.checkpoint = must(os.ReadFile(value))
		case "--from":
			number, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				usage()
			}
			opts.from = number
		default:
			usage()
		}
	}
	rep, err := run(os.Args[1], path, opts)
	os.Exit(say(os.Stdout, rep, err))
}

func run(verb, path string, opts options) (*report, error) {
	switch verb {
	case "ledger":
		return verifyLedger(path, opts)
	case "set":
		return verifySet(path, opts)
	case "tiles":
		return verifyTiles(path, opts)
	}
	usage()
	return nil, nil
}

// say prints the report and gives the exit code.
func say(to io.Writer, rep *report, err error) int {
	var bad *fault
	if err != nil && !errors.As(err, &bad) {
		fmt.Fprintln(os.Stderr, err)
		return wrongUsage
	}
	if rep == nil {
		rep = &report{}
	}
	rep.OK = bad == nil
	if bad != nil {
		rep.Fault, rep.Record, rep.File, rep.Detail, rep.Exit = bad.kind, bad.record, bad.file, bad.detail, exits[bad.kind]
	}
	text, _ := json.Marshal(rep)
	fmt.Fprintln(to, string(text))
	return rep.Exit
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: ledger-peer ledger|set|tiles PATH --key FILE [--key FILE] [--checkpoint FILE] [--from SEQ]")
	os.Exit(wrongUsage)
}

func must(bytes []byte, err error) string {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(wrongUsage)
	}
	return string(bytes)
}
