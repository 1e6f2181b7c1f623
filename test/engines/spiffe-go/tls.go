package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// One HTTP request, by flags or as a line of stdin.
type request struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Fresh   bool              `json:"fresh"` // on a new connection
}

// Calls with the X.509-SVID of the Workload API; with --lines, whatever stdin asks for, on kept connections.
func callMTLS(ctx context.Context, args []string) error {
	set := flags("call-mtls")
	var headers list
	socket := set.String("socket", "", "SPIFFE_ENDPOINT_SOCKET")
	own := set.String("id", "", "SPIFFE ID of our own SVID, when there are several")
	serverID := set.String("server-id", "", "SPIFFE ID that the server must have")
	url := set.String("url", "", "what to call; not with --lines")
	method := set.String("method", "GET", "method")
	body := set.String("body", "", "body")
	many := set.Bool("lines", false, "read requests from stdin")
	set.Var(&headers, "header", "name=value")
	if err := parse(set, args, "socket", "server-id"); err != nil {
		return err
	}
	id, err := spiffeid.FromString(*serverID)
	if err != nil {
		return err
	}
	source, err := x509Source(ctx, *socket, *own)
	if err != nil {
		return err
	}
	defer source.Close()
	transport := &http.Transport{TLSClientConfig: tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(id))}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	if !*many {
		return once(ctx, client, request{Method: *method, URL: *url, Headers: pairs(headers), Body: *body})
	}
	say(object{"event": "ready"})
	return steered(ctx, func(line []byte) (object, error) {
		asked := request{Method: "GET"}
		if err := into(line, &asked); err != nil {
			return nil, err
		}
		if asked.Fresh {
			transport.CloseIdleConnections()
		}
		return call(ctx, client, asked)
	})
}

// Calls with a JWT-SVID of the Workload API as bearer token.
func callJWT(ctx context.Context, args []string) error {
	set := flags("call-jwt")
	var headers list
	socket := set.String("socket", "", "SPIFFE_ENDPOINT_SOCKET")
	audience := set.String("audience", "", "audience of the JWT-SVID")
	id := set.String("id", "", "SPIFFE ID of the JWT-SVID, when there are several")
	url := set.String("url", "", "what to call")
	method := set.String("method", "GET", "method")
	body := set.String("body", "", "body")
	set.Var(&headers, "header", "name=value")
	if err := parse(set, args, "socket", "audience", "url"); err != nil {
		return err
	}
	params := jwtsvid.Params{Audience: *audience}
	if *id != "" {
		subject, err := spiffeid.FromString(*id)
		if err != nil {
			return err
		}
		params.Subject = subject
	}
	bounded, cancel := within(ctx)
	defer cancel()
	source, err := workloadapi.NewJWTSource(bounded, workloadapi.WithClientOptions(workloadapi.WithAddr(*socket)))
	if err != nil {
		return err
	}
	defer source.Close()
	svid, err := source.FetchJWTSVID(bounded, params)
	if err != nil {
		return err
	}
	asked := request{Method: *method, URL: *url, Headers: pairs(headers), Body: *body}
	asked.Headers["Authorization"] = "Bearer " + svid.Marshal()
	return once(bounded, &http.Client{Timeout: 20 * time.Second}, asked)
}

func once(ctx context.Context, client *http.Client, asked request) error {
	said, err := call(ctx, client, asked)
	if err == nil {
		say(said)
	}
	return err
}

func call(ctx context.Context, client *http.Client, asked request) (object, error) {
	made, err := http.NewRequestWithContext(ctx, asked.Method, asked.URL, strings.NewReader(asked.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range asked.Headers {
		made.Header.Set(name, value)
	}
	answer, err := client.Do(made)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	said := object{"status": answer.StatusCode, "headers": flat(answer.Header), "body": string(body)}
	if answer.TLS != nil {
		if id, err := spiffetls.PeerIDFromConnectionState(*answer.TLS); err == nil {
			said["server"], said["serial"] = id.String(), answer.TLS.PeerCertificates[0].SerialNumber.Text(16)
		}
	}
	return said, nil
}

// An HTTPS server for exactly one client, for upstreams that we reach with an SVID. It answers with what it saw.
func serveTLS(ctx context.Context, args []string) error {
	set := flags("serve-tls")
	socket := set.String("socket", "", "SPIFFE_ENDPOINT_SOCKET")
	own := set.String("id", "", "SPIFFE ID of our own SVID, when there are several")
	clientID := set.String("client-id", "", "SPIFFE ID that the client must have")
	if err := parse(set, args, "socket", "client-id"); err != nil {
		return err
	}
	id, err := spiffeid.FromString(*clientID)
	if err != nil {
		return err
	}
	source, err := x509Source(ctx, *socket, *own)
	if err != nil {
		return err
	}
	defer source.Close()
	config := tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeID(id))
	return serveHTTPS(ctx, config, http.HandlerFunc(mirror), object{}, func([]byte) (object, error) { return nil, nil })
}

func mirror(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	said := object{"method": r.Method, "url": r.URL.String(), "headers": flat(r.Header), "body": string(body), "protocol": r.Proto}
	if id, err := spiffetls.PeerIDFromConnectionState(*r.TLS); err == nil {
		said["client"], said["serial"] = id.String(), r.TLS.PeerCertificates[0].SerialNumber.Text(16)
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, said)
}

// Serves on a free loopback port, which it says, until it is ended.
func serveHTTPS(ctx context.Context, config *tls.Config, handler http.Handler, extra object, answer func([]byte) (object, error)) error {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ErrorLog: handshakes(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(tls.NewListener(plain, config)) }()
	defer server.Close()
	port := plain.Addr().(*net.TCPAddr).Port
	extra["event"], extra["port"], extra["url"] = "listening", port, fmt.Sprintf("https://127.0.0.1:%d", port)
	say(extra)
	return steered(ctx, answer)
}

// Shows the SVID of this ID, when there are several; else the default one.
func x509Source(ctx context.Context, socket, id string) (*workloadapi.X509Source, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	pick := workloadapi.WithDefaultX509SVIDPicker(func(svids []*x509svid.SVID) *x509svid.SVID {
		for _, svid := range svids {
			if svid.ID.String() == id {
				return svid
			}
		}
		return svids[0]
	})
	return workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(socket)), pick)
}

func pairs(all list) map[string]string {
	found := map[string]string{}
	for _, one := range all {
		name, value, _ := strings.Cut(one, "=")
		found[name] = value
	}
	return found
}

func flat(headers http.Header) map[string]string {
	found := map[string]string{}
	for name, values := range headers {
		found[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return found
}
