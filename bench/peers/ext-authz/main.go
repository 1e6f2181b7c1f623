// Command ext-authz judges the calls that Envoy asks it about with the policy of Countersign, evaluated by OPA. See README.md of bench.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
)

// Digest of what this program is built from; set by the linker.
var sources = "unknown"

type options struct {
	// A path: the socket that Envoy connects to.
	socket string
	// A folder of Rego modules; tests in it are left out.
	policy string
	// The reference that gives the decision, such as data.countersign.decision.
	query string
	// A JSON file: what is known of calls by method. See input.go.
	facts string
	// A file that OPA's decision log is appended to; empty: no log.
	log string
	// The credential that goes upstream in place of the caller's token.
	credential string
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println(sources)
		return
	}
	var given options
	flag.StringVar(&given.socket, "socket", "", "path of the socket to listen on")
	flag.StringVar(&given.policy, "policy", "", "folder of Rego modules")
	flag.StringVar(&given.query, "query", "data.countersign.decision", "what gives the decision")
	flag.StringVar(&given.facts, "facts", "", "JSON file of what is known of calls, by method")
	flag.StringVar(&given.log, "log", "", "file for OPA's decision log; none without it")
	flag.StringVar(&given.credential, "credential", "", "what goes upstream as a bearer token")
	flag.Parse()
	if err := serve(given); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(given options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	known, err := readFacts(given.facts)
	if err != nil {
		return err
	}
	judge, err := openJudge(ctx, given)
	if err != nil {
		return err
	}
	defer judge.close(context.Background())
	listener, err := net.Listen("unix", given.socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxConcurrentStreams(1024))
	auth.RegisterAuthorizationServer(server, &authorizer{facts: known, judge: judge, credential: "Bearer " + given.credential})
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	return server.Serve(listener)
}
