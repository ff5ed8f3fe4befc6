// Command alarm-manager is the component com.edgepdm.AlarmManager.
package main

import (
	"context"
	"os"
	"sync"
	"time"

	"edgepdm/components/alarm-manager/alarmcli"
	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/components/alarm-manager/speech"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	component.Execute(cli.Program{
		Name: "alarm-manager", Version: cli.Version(version),
		Summary: "decides what is an alarm, and keeps each alert until it is safely on its way",
		Commands: append([]cli.Command{
			{Name: "", Summary: "run as a Greengrass component", Run: runComponent},
			{Name: "test-alarm", Summary: "raise a test alarm on this device, and wait until the forwarder has it", Run: testAlarm},
			{Name: "speak", Summary: "speak a text at the site, as an alarm would be, and wait until it was heard", Run: speak},
		}, alarmcli.Commands()...),
	})
}

func runComponent(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("alarm-manager", s), args); err != nil {
		return err
	}
	component.OneProcessor()
	core := os.Getenv("AWS_IOT_THING_NAME")
	if core == "" {
		core = "greengrass-core"
	}
	return component.Main(ctx, component.Spec[alarms.Config]{
		Name: event.AlarmManager, Version: cli.Version(version), Default: alarms.Default,
		Run: func(ctx context.Context, rt *component.Runtime, config alarms.Config) error {
			return manage(ctx, rt, config, core)
		},
	})
}

// manage runs the manager, and the announcer beside it where that is configured.
func manage(ctx context.Context, rt *component.Runtime, config alarms.Config, core string) error {
	manager := alarms.Manager{CoreThing: core, Now: time.Now}
	if !config.Voice.Enabled {
		return manager.Run(ctx, rt, config)
	}
	defer component.AllProcessors()() // speech must be on time
	announcer, err := speech.New(rt, config.Voice, speech.Site{
		Core: core, TimeZone: config.TimeZone, Languages: config.Languages, TopicPrefix: config.TopicPrefix, Getenv: os.Getenv,
	})
	if err != nil {
		return err
	}
	manager.Announcer = announcer
	ctx, stop := context.WithCancel(ctx)
	var speaking sync.WaitGroup
	speaking.Go(func() { announcer.Run(ctx) })
	defer speaking.Wait()
	defer stop()
	return manager.Run(ctx, rt, config)
}

func testAlarm(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("alarm-manager test-alarm [-thing NAME] [-line NAME] [-text TEXT]", s)
	c := event.TestAlarm{V: event.Version}
	fs.StringVar(&c.Thing, "thing", "", "`NAME` of the machine that the alarm is of; default: the core")
	fs.StringVar(&c.Line, "line", "", "`NAME` of its line")
	fs.StringVar(&c.Text, "text", "", "`TEXT` that is spoken after the words that say it is a test")
	var flags request.Flags
	flags.Define(fs, event.AlarmManager)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return cli.Usagef("%v", err)
	}
	return flags.Do(ctx, s, request.Call{Component: event.AlarmManager, Command: event.CommandTestAlarm, Arguments: c})
}

func speak(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("alarm-manager speak -text TEXT [-language NAME]", s)
	var c event.Speak
	fs.StringVar(&c.Text, "text", "", "`TEXT` that is spoken")
	fs.StringVar(&c.Language, "language", "", "`NAME` of its language, such as de-DE; default: the configured one")
	var flags request.Flags
	flags.Define(fs, event.AlarmManager)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if c.Text == "" {
		return cli.Usagef("say what is to be spoken with -text")
	}
	if err := c.Check(); err != nil {
		return cli.Usagef("%v", err)
	}
	return flags.Do(ctx, s, request.Call{Component: event.AlarmManager, Command: event.CommandSpeak, Arguments: c})
}
