package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// What the endpoint serves: the bundle of the Workload API, with what stdin says laid over it.
type endpoint struct {
	mu       sync.Mutex
	source   *workloadapi.BundleSource
	last     *spiffebundle.Bundle
	sequence uint64
	hint     time.Duration
	empty    bool
	status   int    // instead of the bundle
	redirect string // instead of the bundle
	asked    int
}

// A bundle endpoint under either profile of SPIFFE Federation.
func bundleEndpoint(ctx context.Context, args []string) error {
	set := flags("bundle-endpoint")
	socket := set.String("socket", "", "SPIFFE_ENDPOINT_SOCKET, where the bundle is read")
	profile := set.String("profile", "", "https_spiffe or https_web")
	td := set.String("td", "acme.example", "trust domain whose bundle is served")
	hint := set.Duration("hint", 5*time.Minute, "refresh hint; 0 for none")
	sequence := set.Uint64("sequence", 1, "first sequence number")
	if err := parse(set, args, "socket", "profile"); err != nil {
		return err
	}
	domain, err := spiffeid.TrustDomainFromString(*td)
	if err != nil {
		return err
	}
	bounded, cancel := within(ctx)
	defer cancel()
	source, err := workloadapi.NewBundleSource(bounded, workloadapi.WithClientOptions(workloadapi.WithAddr(*socket)))
	if err != nil {
		return err
	}
	defer source.Close()
	e := &endpoint{source: source, sequence: *sequence - 1, hint: *hint}
	handler, err := federation.NewHandler(domain, e)
	if err != nil {
		return err
	}
	config, said, err := endpointTLS(ctx, *profile, *socket)
	if err != nil {
		return err
	}
	return serveHTTPS(ctx, config, e.instead(handler), said, e.steer)
}

func endpointTLS(ctx context.Context, profile, socket string) (*tls.Config, object, error) {
	switch profile {
	case "https_spiffe":
		source, err := x509Source(ctx, socket, "")
		if err != nil {
			return nil, nil, err
		}
		svid, err := source.GetX509SVID()
		if err != nil {
			return nil, nil, err
		}
		return tlsconfig.TLSServerConfig(source), object{"id": svid.ID.String()}, nil
	case "https_web":
		certificate, ca, err := webCertificate()
		if err != nil {
			return nil, nil, err
		}
		config := &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
		return config, object{"ca": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))}, nil
	}
	return nil, nil, fmt.Errorf("no profile %q", profile)
}

// A certificate of the web kind for loopback, and the authority that no system trusts.
func webCertificate() (*tls.Certificate, *x509.Certificate, error) {
	td, err := spiffeid.TrustDomainFromString("web.acme.example")
	if err != nil {
		return nil, nil, err
	}
	root, rootKey, err := selfSigned(td, 1)
	if err != nil {
		return nil, nil, err
	}
	key, der, err := webLeaf(root, rootKey, []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback})
	if err != nil {
		return nil, nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, root, nil
}

func (e *endpoint) GetBundleForTrustDomain(td spiffeid.TrustDomain) (*spiffebundle.Bundle, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	found, err := e.source.GetBundleForTrustDomain(td)
	if err != nil {
		return nil, err
	}
	bundle := found.Clone()
	bundle.ClearRefreshHint()
	bundle.ClearSequenceNumber()
	if e.last == nil || !e.last.Equal(bundle) {
		e.last = bundle.Clone()
		e.sequence++
	}
	bundle.SetSequenceNumber(e.sequence)
	if e.hint > 0 {
		bundle.SetRefreshHint(e.hint)
	}
	return bundle, nil
}

// Go-spiffe writes an empty bundle as "keys": null, which neither the standard nor go-spiffe's own reader takes; hence by hand.
func (e *endpoint) serveEmpty(w http.ResponseWriter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	said := object{"keys": []string{}, "spiffe_sequence": e.sequence}
	if e.hint > 0 {
		said["spiffe_refresh_hint"] = int64(e.hint.Seconds())
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, said)
}

// What stands in for the bundle, when stdin said so.
func (e *endpoint) instead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		status, redirect, empty := e.status, e.redirect, e.empty
		// once a reading, however often it is redirected
		if redirect == "" || redirect != r.URL.Path {
			e.asked++
			say(object{"event": "asked", "times": e.asked})
		}
		e.mu.Unlock()
		switch {
		case redirect != "" && redirect != r.URL.Path:
			http.Redirect(w, r, redirect, http.StatusFound)
		case status != 0:
			http.Error(w, "as told", status)
		case empty:
			e.serveEmpty(w)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (e *endpoint) steer(line []byte) (object, error) {
	var o struct {
		Do       string  `json:"do"`
		Seconds  float64 `json:"seconds"`
		Sequence uint64  `json:"sequence"`
		Status   int     `json:"status"`
		To       string  `json:"to"`
	}
	if err := into(line, &o); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch o.Do {
	case "empty":
		e.empty, e.last = true, nil
		e.sequence++
	case "restore":
		e.empty, e.status, e.redirect = false, 0, ""
	case "hint":
		e.hint = seconds(o.Seconds)
	case "sequence":
		e.sequence = o.Sequence
	case "status":
		e.status = o.Status
	case "redirect":
		e.redirect = o.To
	case "state":
	default:
		return nil, fmt.Errorf("bundle-endpoint does not know %q", o.Do)
	}
	return object{"asked": e.asked, "sequence": e.sequence}, nil
}

// Reads a bundle as a federated client does.
func federate(ctx context.Context, args []string) error {
	set := flags("federate")
	url := set.String("url", "", "of the bundle endpoint")
	td := set.String("td", "", "trust domain that it is configured for")
	profile := set.String("profile", "", "https_spiffe or https_web")
	id := set.String("id", "", "https_spiffe: SPIFFE ID of the endpoint")
	bundle := set.String("bundle", "", "https_spiffe: file with the bundle that vouches for the endpoint")
	ca := set.String("ca", "", "https_web: file with the certificate authority")
	if err := parse(set, args, "url", "td", "profile"); err != nil {
		return err
	}
	domain, err := spiffeid.TrustDomainFromString(*td)
	if err != nil {
		return err
	}
	option, err := fetchOption(*profile, *id, *bundle, *ca)
	if err != nil {
		return err
	}
	ctx, cancel := within(ctx)
	defer cancel()
	found, err := federation.FetchBundle(ctx, domain, *url, option)
	if err != nil {
		return err
	}
	say(bundleSaid(found))
	return nil
}

func fetchOption(profile, id, bundle, ca string) (federation.FetchOption, error) {
	switch profile {
	case "https_spiffe":
		endpointID, err := spiffeid.FromString(id)
		if err != nil {
			return nil, err
		}
		known, err := spiffebundle.Load(endpointID.TrustDomain(), bundle)
		if err != nil {
			return nil, err
		}
		return federation.WithSPIFFEAuth(known, endpointID), nil
	case "https_web":
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, errors.New("no certificate in " + ca)
		}
		return federation.WithWebPKIRoots(roots), nil
	}
	return nil, fmt.Errorf("no profile %q", profile)
}

func bundleSaid(bundle *spiffebundle.Bundle) object {
	kids := []string{}
	for kid := range bundle.JWTAuthorities() {
		kids = append(kids, kid)
	}
	said := object{"trustDomain": bundle.TrustDomain().Name(), "x509": certificates(bundle.X509Authorities()), "jwt": kids}
	if sequence, ok := bundle.SequenceNumber(); ok {
		said["sequence"] = fmt.Sprint(sequence)
	}
	if hint, ok := bundle.RefreshHint(); ok {
		said["hint"] = hint.Seconds()
	}
	return said
}

func writeJSON(w io.Writer, what object) {
	_ = json.NewEncoder(w).Encode(what)
}

// Tells the test of handshakes that failed, and of nothing else.
func handshakes() *log.Logger {
	return log.New(handshakeLog{}, "", 0)
}

type handshakeLog struct{}

func (handshakeLog) Write(line []byte) (int, error) {
	say(object{"event": "refused", "why": strings.TrimSpace(string(line))})
	return len(line), nil
}
