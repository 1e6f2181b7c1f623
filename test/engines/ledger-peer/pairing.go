package main

import (
	"encoding/json"
	"sort"
	"strconv"
)

const mostListed = 256

// pairing knows which calls are open.
type pairing struct {
	open map[string]int64
	// whole: no decision can be open that is not here.
	whole bool
	first int64
}

func (p *pairing) take(one *line) string {
	_, known := p.open[one.id]
	switch one.kind {
	case "decision":
		if known {
			return "a second decision of an open call"
		}
		p.open[one.id] = one.seq
	case "outcome":
		if !known && p.whole {
			return "an outcome without an open decision"
		}
		delete(p.open, one.id)
	}
	return ""
}

type openRow struct {
	seq int64
	id  string
}

func (p *pairing) rows() []openRow {
	var all []openRow
	for id, seq := range p.open {
		all = append(all, openRow{seq, id})
	}
	sort.Slice(all, func(a, b int) bool { return all[a].seq < all[b].seq })
	return all
}

// stated judges what a checkpoint says of open calls.
func (p *pairing) stated(point *point) string {
	listed, ok := readRows(point.open)
	if !ok {
		return "open is not a list of calls"
	}
	own := p.rows()
	if !p.whole {
		if string(point.openFrom) != strconv.FormatInt(point.seq, 10) {
			return ""
		}
		begin := len(listed) - len(own)
		if begin < 0 || !equalRows(listed[begin:], own) {
			return "open leaves calls out"
		}
		p.open, p.whole = map[string]int64{}, true
		for _, row := range listed {
			p.open[row.id] = row.seq
		}
		return ""
	}
	from := point.seq
	if len(own) > mostListed {
		from = own[mostListed].seq
		own = own[:mostListed]
	}
	if string(point.openFrom) != strconv.FormatInt(from, 10) || !equalRows(listed, own) {
		return "open is not what the lines before give"
	}
	return ""
}

func readRows(raw json.RawMessage) ([]openRow, bool) {
	var items [][]json.RawMessage
	if raw == nil || string(raw) == "null" || json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	var rows []openRow
	for _, item := range items {
		if len(item) != 2 {
			return nil, false
		}
		seq, err := strconv.ParseInt(string(item[0]), 10, 64)
		id, ok := asString(item[1])
		if err != nil || !ok {
			return nil, false
		}
		rows = append(rows, openRow{seq, id})
	}
	return rows, true
}

func equalRows(a, b []openRow) bool {
	if len(a) != len(b) {
		return false
	}
	for at := range a {
		if a[at] != b[at] {
			return false
		}
	}
	return true
}
