// Command spiffe-peer is what our suites hold Countersign against: SPIFFE clients and servers made from go-spiffe, which shares no code with us.
// It speaks JSON, one object a line, and ends with status 1 and {"error": …} when it fails. What steers a running one comes in on stdin, a line each.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The digest of the sources it was built from, set by the linker: tells a stale binary.
var sources = "unknown"

var commands = map[string]func(context.Context, []string) error{
	"serve":           serve,
	"fetch":           fetch,
	"watch":           watch,
	"call-mtls":       callMTLS,
	"call-jwt":        callJWT,
	"serve-tls":       serveTLS,
	"bundle-endpoint": bundleEndpoint,
	"federate":        federate,
	"validate":        validate,
	"verify-x509":     verifyX509,
	"version": func(context.Context, []string) error {
		_, err := fmt.Println("spiffe-peer " + sources)
		return err
	},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		say(failure(err))
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("commands: serve fetch watch call-mtls call-jwt serve-tls bundle-endpoint federate validate verify-x509 version")
	}
	return commands[args[0]](ctx, args[1:])
}

type object = map[string]any

var speaking sync.Mutex

// One line on stdout, whole.
func say(line object) {
	speaking.Lock()
	defer speaking.Unlock()
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(line)
}

func failure(err error) object {
	return object{"error": err.Error()}
}

// Flags that are there must be whole: a wrong or missing one is an error, never a usage text.
func flags(name string) *flag.FlagSet {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return set
}

func parse(set *flag.FlagSet, args []string, required ...string) error {
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%s: unexpected %q", set.Name(), set.Arg(0))
	}
	for _, name := range required {
		if found := set.Lookup(name); found.Value.String() == "" {
			return fmt.Errorf("%s needs --%s", set.Name(), name)
		}
	}
	return nil
}

// A flag that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// Gives every line of stdin to answer, and says what that gives, with the line's own id; ends with stdin.
func lines(answer func(line []byte) (object, error)) error {
	scanner := bufio.NewScanner(os.Stdin)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var named struct {
			ID any `json:"id"`
		}
		_ = json.Unmarshal(scanner.Bytes(), &named)
		said, err := answer(scanner.Bytes())
		if err != nil {
			said = failure(err)
		}
		if said == nil {
			said = object{}
		}
		if named.ID != nil {
			said["id"] = named.ID
		}
		say(said)
	}
	return scanner.Err()
}

// Until the parent closes stdin or a signal comes; what stdin says goes to answer.
func steered(ctx context.Context, answer func(line []byte) (object, error)) error {
	ended := make(chan error, 1)
	go func() { ended <- lines(answer) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 20*time.Second)
}
