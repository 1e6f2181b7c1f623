package main

import (
	"encoding/base64"
	"fmt"
	"maps"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/codes"
)

// One line of stdin for serve.
type order struct {
	Do          string   `json:"do"`
	Ids         []string `json:"ids"`         // rotate, redact, restore, entries: nothing stands for all
	TrustDomain string   `json:"trustDomain"` // prepare-authorities, rotate-authorities, bundle, jwt-keys: ours when left out
	Keep        bool     `json:"keep"`        // rotate-authorities: the old stay in the bundle
	X509        string   `json:"x509"`        // bundle: full, empty, absent
	JWT         string   `json:"jwt"`
	Keys        *string  `json:"keys"` // jwt-keys: text of a JWKS in place of our own
	TTL         float64  `json:"ttl"`  // ttl, mint-x509, mint-jwt: seconds
	JWTTTL      float64  `json:"jwtTtl"`
	Code        string   `json:"code"`  // end, refuse: as gRPC names it, such as UNAVAILABLE
	Times       int      `json:"times"` // refuse: so many calls; negative for all
	ID          string   `json:"spiffeId"`
	Audience    []string `json:"audience"`
	Claims      object   `json:"claims"`
}

func (s *server) steer(line []byte) (object, error) {
	var o order
	if err := into(line, &o); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch o.Do {
	case "mint-x509", "mint-jwt":
		return s.mint(o)
	case "state":
		return s.state()
	case "refuse":
		s.refusals = o.Times
		return nil, s.refusalCode.UnmarshalJSON([]byte(`"` + o.Code + `"`))
	case "end":
		return nil, s.end(o.Code)
	}
	if err := s.alter(o); err != nil {
		return nil, err
	}
	s.change()
	return nil, nil
}

func (s *server) alter(o order) error {
	switch o.Do {
	case "entries":
		return s.setEntries(o.Ids)
	case "rotate":
		return s.mintEntries(named(o.Ids))
	case "prepare-authorities":
		a, err := s.authority(o.TrustDomain)
		if err == nil {
			err = a.prepare()
		}
		return err
	case "rotate-authorities":
		a, err := s.authority(o.TrustDomain)
		if err == nil {
			err = a.rotate(o.Keep)
		}
		if err == nil && a == s.authorities[0] {
			err = s.mintEntries(nil)
		}
		return err
	case "bundle":
		return s.setBundle(o)
	case "jwt-keys":
		a, err := s.authority(o.TrustDomain)
		if err == nil {
			a.otherKeys = o.Keys
		}
		return err
	case "redact":
		for _, one := range s.entries {
			if only := named(o.Ids); only == nil || only[one.id.String()] {
				s.redacted[one.id.String()] = true
			}
		}
		return nil
	case "restore":
		if only := named(o.Ids); only != nil {
			maps.DeleteFunc(s.redacted, func(id string, _ bool) bool { return only[id] })
		} else {
			clear(s.redacted)
		}
		return nil
	case "ttl":
		if o.TTL > 0 {
			s.ttl = seconds(o.TTL)
		}
		if o.JWTTTL > 0 {
			s.jwtTTL = seconds(o.JWTTTL)
		}
		return nil
	}
	return fmt.Errorf("serve does not know %q", o.Do)
}

func (s *server) setBundle(o order) error {
	a, err := s.authority(o.TrustDomain)
	if err != nil {
		return err
	}
	bundle := s.bundles[a.td.Name()]
	for _, one := range []struct {
		to   *string
		want string
	}{{&bundle.x509, o.X509}, {&bundle.jwt, o.JWT}} {
		switch one.want {
		case "":
		case "full", "empty", "absent":
			*one.to = one.want
		default:
			return fmt.Errorf("a bundle is full, empty or absent, not %q", one.want)
		}
	}
	s.bundles[a.td.Name()] = bundle
	return nil
}

// Ends the streams that are open now.
func (s *server) end(code string) error {
	if code == "" {
		code = "OK"
	}
	var parsed codes.Code
	if err := parsed.UnmarshalJSON([]byte(`"` + code + `"`)); err != nil {
		return err
	}
	s.endCode = parsed
	close(s.ended)
	s.ended = make(chan struct{})
	return nil
}

// An SVID of any ID of a trust domain that is known here, for the test itself.
func (s *server) mint(o order) (object, error) {
	id, err := spiffeid.FromString(o.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.authority(id.TrustDomain().Name())
	if o.TrustDomain != "" {
		// a foreign authority, for what must be refused
		a, err = s.authority(o.TrustDomain)
	}
	if err != nil {
		return nil, err
	}
	ttl := s.ttl
	if o.Do == "mint-jwt" {
		ttl = s.jwtTTL
	}
	if o.TTL != 0 {
		ttl = seconds(o.TTL)
	}
	if o.Do == "mint-jwt" {
		token, err := a.mintJWT(id, o.Audience, ttl, o.Claims)
		return object{"token": token}, err
	}
	svid, err := a.mintX509(id, ttl, s.intermediate)
	if err != nil {
		return nil, err
	}
	return object{"chain": encoded(svid.chain), "key": base64.StdEncoding.EncodeToString(svid.key)}, nil
}

// What is served now, and what was asked so far.
func (s *server) state() (object, error) {
	x509Bundles, jwtBundles := object{}, object{}
	for _, a := range s.authorities {
		var roots [][]byte
		for _, one := range a.keys {
			roots = append(roots, one.root.Raw)
		}
		keys, err := a.jwtBundle()
		if err != nil {
			return nil, err
		}
		x509Bundles[a.td.Name()], jwtBundles[a.td.Name()] = encoded(roots), string(keys)
	}
	var svids []object
	for _, one := range s.entitled() {
		svids = append(svids, object{"id": one.id.String(), "hint": one.hint, "chain": encoded(one.svid.chain)})
	}
	return object{
		"svids": svids, "x509": x509Bundles, "jwt": jwtBundles,
		"calls": maps.Clone(s.calls), "streams": s.streams, "validated": s.validateCalls,
	}, nil
}

func named(ids []string) map[string]bool {
	if len(ids) == 0 {
		return nil
	}
	set := map[string]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return set
}

func seconds(n float64) time.Duration {
	return time.Duration(n * float64(time.Second))
}
