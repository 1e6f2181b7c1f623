package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// Judges JWT-SVIDs, {"token"} a line, by SPIFFE bundles or plain JWKS: an oracle for our verifier.
func validate(ctx context.Context, args []string) error {
	set := flags("validate")
	var files list
	audience := set.String("audience", "", "our own audience")
	jwks := set.Bool("jwks", false, "the files are plain JWKS")
	set.Var(&files, "bundle", "trust domain=file")
	if err := parse(set, args, "audience", "bundle"); err != nil {
		return err
	}
	bundles := jwtbundle.NewSet()
	for _, one := range files {
		bundle, err := jwtAuthorities(one, *jwks)
		if err != nil {
			return err
		}
		bundles.Add(bundle)
	}
	return steered(ctx, func(line []byte) (object, error) {
		var asked struct {
			Token string `json:"token"`
		}
		if err := into(line, &asked); err != nil {
			return nil, err
		}
		svid, err := jwtsvid.ParseAndValidate(asked.Token, bundles, []string{*audience})
		if err != nil {
			return refused(err), nil
		}
		return object{"accepted": true, "spiffeId": svid.ID.String(), "expires": svid.Expiry.UnixMilli()}, nil
	})
}

func jwtAuthorities(named string, jwks bool) (*jwtbundle.Bundle, error) {
	name, file, _ := strings.Cut(named, "=")
	td, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return nil, err
	}
	if jwks {
		return jwtbundle.Load(td, file)
	}
	bundle, err := spiffebundle.Load(td, file)
	if err != nil {
		return nil, err
	}
	return bundle.JWTBundle(), nil
}

// Judges X.509-SVIDs: {"chain": […], "authorities": {trust domain: […]}, "at": epoch ms} a line, certificates in base64 of DER.
// Authorities may come from files instead. Go-spiffe looks neither for digitalSignature nor for a path here.
func verifyX509(ctx context.Context, args []string) error {
	set := flags("verify-x509")
	var files list
	set.Var(&files, "bundle", "trust domain=file with a SPIFFE bundle")
	if err := parse(set, args); err != nil {
		return err
	}
	known := x509bundle.NewSet()
	for _, one := range files {
		name, file, _ := strings.Cut(one, "=")
		td, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return err
		}
		bundle, err := spiffebundle.Load(td, file)
		if err != nil {
			return err
		}
		known.Add(bundle.X509Bundle())
	}
	return steered(ctx, func(line []byte) (object, error) { return judgeChain(line, known) })
}

func judgeChain(line []byte, known *x509bundle.Set) (object, error) {
	var asked struct {
		Chain       [][]byte            `json:"chain"`
		Authorities map[string][][]byte `json:"authorities"`
		At          int64               `json:"at"`
	}
	if err := into(line, &asked); err != nil {
		return nil, err
	}
	bundles := known
	if asked.Authorities != nil {
		bundles = x509bundle.NewSet()
		for name, all := range asked.Authorities {
			td, err := spiffeid.TrustDomainFromString(name)
			if err != nil {
				return nil, err
			}
			bundle := x509bundle.New(td)
			for _, der := range all {
				authority, err := x509.ParseCertificate(der)
				if err != nil {
					return refused(fmt.Errorf("an authority: %w", err)), nil
				}
				bundle.AddX509Authority(authority)
			}
			bundles.Add(bundle)
		}
	}
	options := []x509svid.VerifyOption{}
	if asked.At != 0 {
		options = append(options, x509svid.WithTime(time.UnixMilli(asked.At)))
	}
	id, chains, err := x509svid.ParseAndVerify(asked.Chain, bundles, options...)
	if err != nil {
		return refused(err), nil
	}
	return object{"accepted": true, "spiffeId": id.String(), "chains": len(chains)}, nil
}

func refused(err error) object {
	return object{"accepted": false, "why": err.Error()}
}
