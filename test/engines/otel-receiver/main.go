// Command otel-receiver is the OTLP receiver of the OpenTelemetry Collector on its own: what it takes it prints, one JSON document a
// request, as the Collector itself writes OTLP. It says what it listens on first.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

// sources is set when it is built: a digest of what it is built from.
var sources = "unknown"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: otel-receiver HOST:PORT | version")
		os.Exit(64)
	}
	if os.Args[1] == "version" {
		fmt.Println(sources)
		return
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(at string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	settings := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": at}}})
	if err := settings.Unmarshal(config); err != nil {
		return err
	}
	marshaler := plog.JSONMarshaler{}
	taken, err := consumer.NewLogs(func(_ context.Context, logs plog.Logs) error {
		text, err := marshaler.MarshalLogs(logs)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	telemetry := receiver.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	logs, err := factory.CreateLogs(ctx, telemetry, config, taken)
	if err != nil {
		return err
	}
	if err := logs.Start(ctx, componenttest.NewNopHost()); err != nil {
		return err
	}
	fmt.Printf("{\"listening\":%q}\n", at)
	<-ctx.Done()
	return logs.Shutdown(context.Background())
}
