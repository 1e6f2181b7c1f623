package main

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/sirupsen/logrus"
)

// A judge evaluates one prepared query, and logs what it decided the way OPA does.
type judge struct {
	manager *plugins.Manager
	query   rego.PreparedEvalQuery
	path    string
	// Nil: nothing is logged.
	log  *logs.Plugin
	file *buffered
}

func openJudge(ctx context.Context, given options) (*judge, error) {
	config := `{"labels":{"id":"ext-authz"}}`
	if given.log != "" {
		config = `{"labels":{"id":"ext-authz"},"decision_logs":{"console":true}}`
	}
	files, err := loader.NewFileLoader().Filtered([]string{given.policy}, leftOut)
	if err != nil {
		return nil, err
	}
	lines := logging.New()
	quiet := logging.NewNoOpLogger()
	manager, err := plugins.New([]byte(config), "ext-authz", inmem.New(), plugins.InitFiles(*files), plugins.ConsoleLogger(lines), plugins.Logger(quiet))
	if err != nil {
		return nil, err
	}
	if err := manager.Init(ctx); err != nil {
		return nil, err
	}
	made := &judge{manager: manager, path: strings.ReplaceAll(strings.TrimPrefix(given.query, "data."), ".", "/")}
	prepared := rego.New(rego.Query(given.query), rego.Compiler(manager.GetCompiler()), rego.Store(manager.Store))
	if made.query, err = prepared.PrepareForEval(ctx); err != nil {
		return nil, err
	}
	if given.log == "" {
		return made, nil
	}
	if made.file, err = openBuffered(given.log); err != nil {
		return nil, err
	}
	lines.SetOutput(made.file)
	lines.SetFormatter(&logrus.JSONFormatter{})
	settings, err := logs.NewConfigBuilder().WithBytes([]byte(`{"console":true}`)).Parse()
	if err != nil {
		return nil, err
	}
	made.log = logs.New(settings, manager)
	manager.Register(logs.Name, made.log)
	return made, made.log.Start(ctx)
}

func leftOut(path string, info os.FileInfo, _ int) bool {
	return !info.IsDir() && (filepath.Ext(path) != ".rego" || strings.HasSuffix(path, "_test.rego"))
}

// decide gives the decision on one input, or an error when there is none.
func (j *judge) decide(ctx context.Context, id string, input ast.Value) (any, error) {
	var decided any
	return decided, storage.Txn(ctx, j.manager.Store, storage.TransactionParams{}, func(txn storage.Transaction) error {
		timers := metrics.NoOp()
		if j.log != nil {
			timers = metrics.New()
		}
		found, err := j.query.Eval(ctx, rego.EvalParsedInput(input), rego.EvalTransaction(txn), rego.EvalMetrics(timers))
		if err == nil && len(found) == 1 && len(found[0].Expressions) == 1 {
			decided = found[0].Expressions[0].Value
		}
		if err != nil || j.log == nil {
			return err
		}
		document, err := ast.JSON(input)
		if err != nil {
			return err
		}
		return j.log.Log(ctx, &server.Info{
			Txn: txn, DecisionID: id, Path: j.path, Timestamp: time.Now(), Input: &document, InputAST: input, Results: &decided, Metrics: timers,
		})
	})
}

func (j *judge) close(ctx context.Context) {
	if j.log != nil {
		j.log.Stop(ctx)
		j.file.close()
	}
}

// Lines are written together, a tenth of a second after the first of them at the latest.
type buffered struct {
	lock   sync.Mutex
	file   *os.File
	writer *bufio.Writer
	done   chan struct{}
}

func openBuffered(path string) (*buffered, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	made := &buffered{file: file, writer: bufio.NewWriterSize(file, 256*1024), done: make(chan struct{})}
	go made.flushing()
	return made, nil
}

func (b *buffered) Write(line []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.writer.Write(line)
}

func (b *buffered) flushing() {
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-b.done:
			return
		case <-tick.C:
			b.lock.Lock()
			_ = b.writer.Flush()
			b.lock.Unlock()
		}
	}
}

func (b *buffered) close() {
	close(b.done)
	b.lock.Lock()
	defer b.lock.Unlock()
	_ = b.writer.Flush()
	_ = b.file.Close()
}
