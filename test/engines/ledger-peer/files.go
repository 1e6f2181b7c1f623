package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// readFiles reads a folder, or a tar of one.
func readFiles(path string) (map[string][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if info.IsDir() {
		return files, filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			name, _ := filepath.Rel(path, at)
			if !entry.Type().IsRegular() {
				return bad("manifest", name, "not a regular file")
			}
			files[filepath.ToSlash(name)], err = os.ReadFile(at)
			return err
		})
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for reader := tar.NewReader(file); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, bad("manifest", "", err.Error())
		}
		if _, twice := files[header.Name]; twice || header.Typeflag != tar.TypeReg {
			return nil, bad("manifest", header.Name, "not a regular file, or twice there")
		}
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			return nil, bad("manifest", header.Name, err.Error())
		}
	}
}

var integer = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,15})$`)

// isCanonical tells whether the text is canonical JSON (RFC 8785). All numbers of a set are integers.
func isCanonical(text []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if !utf8.Valid(text) || decoder.Decode(&value) != nil {
		return false
	}
	var made strings.Builder
	return canonical(&made, value) && made.String() == string(text)
}

func canonical(to *strings.Builder, value any) bool {
	switch one := value.(type) {
	case nil:
		to.WriteString("null")
	case bool:
		to.WriteString(strconv.FormatBool(one))
	case json.Number:
		to.WriteString(one.String())
		return integer.MatchString(one.String())
	case string:
		quote(to, one)
	case []any:
		to.WriteByte('[')
		for at, item := range one {
			if at > 0 {
				to.WriteByte(',')
			}
			if !canonical(to, item) {
				return false
			}
		}
		to.WriteByte(']')
	case map[string]any:
		names := make([]string, 0, len(one))
		for name := range one {
			names = append(names, name)
		}
		sort.Slice(names, func(a, b int) bool { return lessUTF16(names[a], names[b]) })
		to.WriteByte('{')
		for at, name := range names {
			if at > 0 {
				to.WriteByte(',')
			}
			quote(to, name)
			to.WriteByte(':')
			if !canonical(to, one[name]) {
				return false
			}
		}
		to.WriteByte('}')
	}
	return true
}

func lessUTF16(a, b string) bool {
	x, y := utf16.Encode([]rune(a)), utf16.Encode([]rune(b))
	for at := 0; at < len(x) && at < len(y); at++ {
		if x[at] != y[at] {
			return x[at] < y[at]
		}
	}
	return len(x) < len(y)
}

var escapes = map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`}

func quote(to *strings.Builder, text string) {
	to.WriteByte('"')
	for _, one := range text {
		if escape, ok := escapes[one]; ok {
			to.WriteString(escape)
		} else if one < 0x20 {
			to.WriteString(`\u00` + string("0123456789abcdef"[one>>4]) + string("0123456789abcdef"[one&15]))
		} else {
			to.WriteRune(one)
		}
	}
	to.WriteByte('"')
}

// tiles reads the tiles of a ledger as x/mod asks for them: C2SP tlog-tiles leaves the height, which is 8, out of the path.
type tiles struct{ dir string }

func (t tiles) Height() int                     { return 8 }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(asked []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, one := range asked {
		data, err := os.ReadFile(filepath.Join(t.dir, strings.Replace(one.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// verifyTiles opens the newest checkpoint of a ledger folder and holds the tiles to it, and each line to the tiles.
func verifyTiles(dir string, opts options) (*report, error) {
	segments, err := readSegments(dir)
	if err != nil {
		return nil, err
	}
	keys, err := newRing(opts.keys)
	if err != nil {
		return nil, err
	}
	keys.learn(handovers(segments))
	held, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return nil, err
	}
	text, err := keys.open(string(held))
	if err != nil {
		return nil, bad("signature", "checkpoint", err.Error())
	}
	stated := readStates(text)
	if stated == nil {
		return nil, bad("checkpoint", "checkpoint", "no checkpoint")
	}
	reader := tlog.TileHashReader(tlog.Tree{N: stated.size, Hash: tlog.Hash(stated.root)}, tiles{dir})
	rep := &report{}
	for _, one := range segments {
		for _, raw := range bytes.Split(bytes.TrimSuffix(one.data, []byte("\n")), []byte("\n")) {
			read, err := readLine(raw)
			if err != nil {
				return rep, bad("parse", one.path, err.Error())
			}
			if read.seq > stated.size {
				return rep, nil
			}
			hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, read.seq-1)})
			digest := sha(raw)
			if err != nil || hashes[0] != tlog.RecordHash(digest) {
				return rep, &fault{"checkpoint", read.seq, one.path, "the tile holds another hash"}
			}
			rep.Lines++
		}
	}
	return rep, nil
}
