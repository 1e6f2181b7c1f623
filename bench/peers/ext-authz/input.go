package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/ast"
	"google.golang.org/protobuf/types/known/structpb"
)

// What is known of the calls of one method before they are made: Countersign's own input of such a call, with its agent, task, tool and
// the facts of its sequence. A call has its request, its caller, its resource and its moment of its own; the rest is parsed once.
type known struct {
	whole   ast.Object
	request ast.Object
	body    ast.Object
	caller  ast.Object
	tool    ast.Object
	context ast.Object
}

// The path below which the tools of the bench lie; another has no tool.
const items = "/api/items/"

func readFacts(file string) (map[string]known, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var inputs map[string]json.RawMessage
	if err := json.Unmarshal(text, &inputs); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	all := make(map[string]known, len(inputs))
	for method, input := range inputs {
		value, err := ast.ValueFromReader(strings.NewReader(string(input)))
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", file, method, err)
		}
		whole, ok := value.(ast.Object)
		if !ok {
			return nil, fmt.Errorf("%s, %s: not an object", file, method)
		}
		one := known{whole: whole}
		for name, part := range map[string]*ast.Object{"request": &one.request, "caller": &one.caller, "tool": &one.tool, "context": &one.context} {
			if *part, ok = member(whole, name); !ok {
				return nil, fmt.Errorf("%s, %s: no %s", file, method, name)
			}
		}
		if one.body, ok = member(one.request, "body"); !ok {
			return nil, fmt.Errorf("%s, %s: no request.body", file, method)
		}
		all[method] = one
	}
	return all, nil
}

func member(of ast.Object, name string) (ast.Object, bool) {
	term := of.Get(ast.InternedTerm(name))
	if term == nil {
		return nil, false
	}
	value, ok := term.Value.(ast.Object)
	return value, ok
}

// input gives what policy is asked about a call; false when there is nothing to ask: no tool, no caller, or a body that is no JSON.
func (k known) input(request *auth.AttributeContext_HttpRequest, claims *structpb.Struct) (ast.Value, bool) {
	path, query, _ := strings.Cut(request.GetPath(), "?")
	item, ok := strings.CutPrefix(path, items)
	subject := claims.GetFields()["sub"].GetStringValue()
	domain, _, _ := strings.Cut(strings.TrimPrefix(subject, "spiffe://"), "/")
	if !ok || item == "" || strings.Contains(item, "/") || query != "" || subject == "" {
		return nil, false
	}
	name, err := url.PathUnescape(item)
	if err != nil {
		return nil, false
	}
	body, digest, ok := k.bodyOf(request)
	if !ok {
		return nil, false
	}
	return with(k.whole, members{
		"request": ast.NewTerm(with(k.request, members{
			"id":       ast.StringTerm(request.GetId()),
			"host":     ast.StringTerm(request.GetHost()),
			"path":     ast.StringTerm("/items/" + item),
			"segments": ast.ArrayTerm(ast.InternedTerm("items"), ast.StringTerm(name)),
			"body":     body,
		})),
		"caller": ast.NewTerm(with(k.caller, members{
			"spiffe_id":    ast.StringTerm(subject),
			"trust_domain": ast.StringTerm(domain),
			"expires":      ast.NumberTerm(json.Number(fmt.Sprintf("%.0f", claims.GetFields()["exp"].GetNumberValue()*1000))),
		})),
		"tool": ast.NewTerm(with(k.tool, members{
			"resource":    ast.StringTerm("item:" + name),
			"args_sha256": digest,
		})),
		"context": ast.NewTerm(with(k.context, members{"now": ast.NumberTerm(json.Number(fmt.Sprint(time.Now().UnixMilli())))})),
	}), true
}

// bodyOf gives request.body and the digest of the arguments.
func (k known) bodyOf(request *auth.AttributeContext_HttpRequest) (*ast.Term, *ast.Term, bool) {
	raw := request.GetRawBody()
	if len(raw) == 0 {
		return ast.NewTerm(k.body), ast.InternedNullTerm, true
	}
	parsed, err := ast.ValueFromReader(strings.NewReader(string(raw)))
	if err != nil {
		return nil, nil, false
	}
	sum := sha256.Sum256(raw)
	digest := ast.StringTerm(hex.EncodeToString(sum[:]))
	return ast.NewTerm(with(k.body, members{
		"parsed": ast.NewTerm(parsed), "sha256": digest, "size": ast.InternedTerm(len(raw)),
	})), digest, true
}

type members map[string]*ast.Term

// with gives the object with some members replaced or added.
func with(base ast.Object, changed members) ast.Object {
	made := ast.NewObjectWithCapacity(base.Len() + 1)
	base.Foreach(func(key, value *ast.Term) {
		if name, ok := key.Value.(ast.String); ok && changed[string(name)] != nil {
			return
		}
		made.Insert(key, value)
	})
	for name, value := range changed {
		made.Insert(ast.InternedTerm(name), value)
	}
	return made
}
