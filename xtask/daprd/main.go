// The Dapr sidecar with locks on Redis and nothing else.
//
// It is the official runtime with the official flags, but it registers one type of component,
// lock.redis: so it builds in minutes, without the software kits of every cloud.
// The tests run against it where no official daprd is installed.
package main

import (
	"fmt"
	"os"

	lockredis "github.com/dapr/components-contrib/lock/redis"
	"github.com/dapr/dapr/cmd/daprd/options"
	"github.com/dapr/dapr/pkg/buildinfo"
	"github.com/dapr/dapr/pkg/components/lock"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/metrics"
	"github.com/dapr/dapr/pkg/runtime"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/dapr/pkg/security/fake"
	"github.com/dapr/kit/logger"
	"github.com/dapr/kit/signals"
	"go.opencensus.io/stats/view"
)

func main() {
	opts, err := options.New(os.Args[1:])
	if err != nil {
		fail(err)
	}
	if opts.RuntimeVersion {
		fmt.Println(buildinfo.Version())
		return
	}
	opts.Logger.SetAppID(opts.AppID)
	if err := logger.ApplyOptionsToLoggers(&opts.Logger); err != nil {
		fail(err)
	}
	lock.DefaultRegistry.Logger = logger.NewLogger("dapr.contrib")
	lock.DefaultRegistry.RegisterComponent(lockredis.NewStandaloneRedisLock, "redis")

	ctx := signals.Context()
	sidecar, err := runtime.FromConfig(ctx, config(opts))
	if err != nil {
		fail(err)
	}
	if err := sidecar.Run(ctx); err != nil {
		fail(err)
	}
}

// config takes over the flags that a sidecar without an app, actors or certificates can use.
func config(opts *options.Options) *runtime.Config {
	health := healthz.New()
	return &runtime.Config{
		AppID:                         opts.AppID,
		Mode:                          opts.Mode,
		Config:                        opts.Config,
		ResourcesPath:                 opts.ResourcesPath,
		ComponentsPath:                opts.ComponentsPath,
		AllowedOrigins:                opts.AllowedOrigins,
		AppProtocol:                   opts.AppProtocol,
		AppChannelAddress:             opts.AppChannelAddress,
		ApplicationPort:               opts.AppPort,
		AppHealthCheckPath:            opts.AppHealthCheckPath,
		AppHealthProbeInterval:        opts.AppHealthProbeInterval,
		AppHealthProbeTimeout:         opts.AppHealthProbeTimeout,
		AppHealthThreshold:            opts.AppHealthThreshold,
		DaprHTTPPort:                  opts.DaprHTTPPort,
		DaprAPIGRPCPort:               opts.DaprAPIGRPCPort,
		DaprAPIListenAddresses:        opts.DaprAPIListenAddresses,
		DaprInternalGRPCPort:          opts.DaprInternalGRPCPort,
		DaprInternalGRPCListenAddress: opts.DaprInternalGRPCListenAddress,
		DaprPublicPort:                opts.DaprPublicPort,
		DaprPublicListenAddress:       opts.DaprPublicListenAddress,
		ProfilePort:                   opts.ProfilePort,
		// Not used without a scheduler, but checked.
		SchedulerStreams:             opts.SchedulerJobStreams,
		UnixDomainSocket:             opts.UnixDomainSocket,
		MaxRequestSize:               opts.MaxRequestSize,
		ReadBufferSize:               opts.ReadBufferSize,
		EnableAPILogging:             opts.EnableAPILogging,
		DisableBuiltinK8sSecretStore: opts.DisableBuiltinK8sSecretStore,
		DaprGracefulShutdownSeconds:  opts.DaprGracefulShutdownSeconds,
		DaprBlockShutdownDuration:    opts.DaprBlockShutdownDuration,
		Metrics: metrics.Options{
			Enabled:       opts.Metrics.Enabled(),
			Log:           logger.NewLogger("dapr.runtime"),
			Port:          opts.Metrics.Port(),
			Namespace:     metrics.DefaultMetricNamespace,
			Healthz:       health,
			ListenAddress: opts.Metrics.ListenAddress(),
			// The runtime takes it for granted, also where metrics are off.
			Meter: view.NewMeter(),
		},
		Registry: registry.NewOptions().WithLocks(lock.DefaultRegistry),
		// Without certificates there is nothing to ask an authority for.
		Security: fake.New(),
		Healthz:  health,
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "daprd:", err)
	os.Exit(1)
}
