package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a workload is given under one entry.
type entry struct {
	id   spiffeid.ID
	hint string
	svid *x509SVID
}

// How a bundle is shown: "full", "empty" (everything revoked) or "absent" (redacted).
type shown struct{ x509, jwt string }

// The Workload API and what stdin changes of it. Every open stream is told of every change.
type server struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	mu            sync.Mutex
	authorities   []*authority // ours first
	bundles       map[string]shown
	entries       []entry
	redacted      map[string]bool
	intermediate  bool
	ttl, jwtTTL   time.Duration
	changed       chan struct{} // closed at every change
	ended         chan struct{} // closed when the streams shall end
	endCode       codes.Code
	refusals      int // so many further calls are refused …
	refusalCode   codes.Code
	calls         map[string]int
	streams       int
	validateCalls int
}

func serve(ctx context.Context, args []string) error {
	set := flags("serve")
	var ids, federated list
	socket := set.String("socket", "", "path of the unix socket")
	tcp := set.String("tcp", "", "or address and port to listen on")
	td := set.String("td", "acme.example", "trust domain")
	ttl := set.Duration("ttl", time.Hour, "life of an X.509-SVID")
	jwtTTL := set.Duration("jwt-ttl", 5*time.Minute, "life of a JWT-SVID")
	intermediate := set.Bool("intermediate", false, "put an intermediate between root and leaf")
	set.Var(&ids, "id", "SPIFFE ID of an entry, and its hint after a comma")
	set.Var(&federated, "federated", "trust domain whose bundle is lent too")
	if err := parse(set, args); err != nil {
		return err
	}
	if len(federated) == 0 {
		federated = list{"partner.example"}
	}
	s := &server{
		bundles: map[string]shown{}, redacted: map[string]bool{}, calls: map[string]int{}, intermediate: *intermediate,
		ttl: *ttl, jwtTTL: *jwtTTL, changed: make(chan struct{}), ended: make(chan struct{}),
	}
	for _, name := range append([]string{*td}, federated...) {
		if err := s.addTrustDomain(name); err != nil {
			return err
		}
	}
	if err := s.setEntries(ids); err != nil {
		return err
	}
	return s.listen(ctx, *socket, *tcp)
}

func (s *server) listen(ctx context.Context, socket, tcp string) error {
	if (socket == "") == (tcp == "") {
		return errors.New("serve needs --socket or --tcp")
	}
	network, address := "tcp", tcp
	if socket != "" {
		network, address = "unix", socket
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	rpc := grpc.NewServer(grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream))
	workload.RegisterSpiffeWorkloadAPIServer(rpc, s)
	go func() { _ = rpc.Serve(listener) }()
	defer os.Remove(socket)
	defer rpc.Stop()
	name := "unix:" + socket
	if socket == "" {
		name = "tcp://" + listener.Addr().String()
	}
	say(object{"event": "listening", "socket": name})
	return steered(ctx, s.steer)
}

func (s *server) addTrustDomain(name string) error {
	td, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return err
	}
	made, err := newAuthority(td)
	s.authorities = append(s.authorities, made)
	s.bundles[td.Name()] = shown{"full", "full"}
	return err
}

func (s *server) setEntries(ids []string) error {
	s.entries = nil
	for _, one := range ids {
		text, hint, _ := strings.Cut(one, ",")
		id, err := spiffeid.FromString(text)
		if err != nil {
			return err
		}
		s.entries = append(s.entries, entry{id: id, hint: hint})
	}
	return s.mintEntries(nil)
}

// New certificates for all entries, or for those named.
func (s *server) mintEntries(only map[string]bool) error {
	for at := range s.entries {
		if one := &s.entries[at]; only == nil || only[one.id.String()] {
			svid, err := s.authorities[0].mintX509(one.id, s.ttl, s.intermediate)
			if err != nil {
				return err
			}
			one.svid = svid
		}
	}
	return nil
}

// Tells every open stream to say again how things stand.
func (s *server) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) entitled() []entry {
	var left []entry
	for _, one := range s.entries {
		if !s.redacted[one.id.String()] {
			left = append(left, one)
		}
	}
	return left
}

func (s *server) x509Response() (*workload.X509SVIDResponse, error) {
	entitled := s.entitled()
	if len(entitled) == 0 {
		return nil, status.Error(codes.PermissionDenied, "no identity issued")
	}
	said := &workload.X509SVIDResponse{FederatedBundles: map[string][]byte{}}
	home := s.authorities[0]
	for _, one := range entitled {
		svid := &workload.X509SVID{SpiffeId: one.id.String(), X509SvidKey: one.svid.key, Hint: one.hint}
		for _, certificate := range one.svid.chain {
			svid.X509Svid = append(svid.X509Svid, certificate...)
		}
		if s.bundles[home.td.Name()].x509 == "full" {
			svid.Bundle = home.x509Bundle()
		}
		said.Svids = append(said.Svids, svid)
	}
	for _, other := range s.authorities[1:] {
		s.show(said.FederatedBundles, other)
	}
	return said, nil
}

func (s *server) show(into map[string][]byte, a *authority) {
	switch s.bundles[a.td.Name()].x509 {
	case "full":
		into[a.td.IDString()] = a.x509Bundle()
	case "empty":
		into[a.td.IDString()] = []byte{}
	}
}

func (s *server) x509BundlesResponse() (*workload.X509BundlesResponse, error) {
	if len(s.entitled()) == 0 {
		return nil, status.Error(codes.PermissionDenied, "no identity issued")
	}
	said := &workload.X509BundlesResponse{Bundles: map[string][]byte{}}
	for _, a := range s.authorities {
		s.show(said.Bundles, a)
	}
	return said, nil
}

func (s *server) jwtBundlesResponse() (*workload.JWTBundlesResponse, error) {
	if len(s.entitled()) == 0 {
		return nil, status.Error(codes.PermissionDenied, "no identity issued")
	}
	said := &workload.JWTBundlesResponse{Bundles: map[string][]byte{}}
	for _, a := range s.authorities {
		switch s.bundles[a.td.Name()].jwt {
		case "full":
			keys, err := a.jwtBundle()
			if err != nil {
				return nil, err
			}
			said.Bundles[a.td.IDString()] = keys
		case "empty":
			said.Bundles[a.td.IDString()] = []byte(`{"keys":[]}`)
		}
	}
	return said, nil
}

// The keys by which a JWT-SVID is judged here: those that are shown.
func (s *server) jwtSource() (*jwtbundle.Set, error) {
	set := jwtbundle.NewSet()
	for _, a := range s.authorities {
		switch s.bundles[a.td.Name()].jwt {
		case "full":
			bundle, err := a.jwtAuthorities()
			if err != nil {
				return nil, err
			}
			set.Add(bundle)
		case "empty":
			set.Add(jwtbundle.New(a.td))
		}
	}
	return set, nil
}

func (s *server) authority(td string) (*authority, error) {
	for _, a := range s.authorities {
		if td == "" || a.td.Name() == td {
			return a, nil
		}
	}
	return nil, fmt.Errorf("no trust domain %q here", td)
}

func encoded(all [][]byte) []string {
	texts := []string{}
	for _, one := range all {
		texts = append(texts, base64.StdEncoding.EncodeToString(one))
	}
	return texts
}

func into(line []byte, what any) error {
	if err := json.Unmarshal(line, what); err != nil {
		return fmt.Errorf("not understood: %w", err)
	}
	return nil
}
