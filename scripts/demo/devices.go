package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore/devices"
)

const (
	maxDevices = 50
	// spareDevice is enrolled, and left for the user to run.
	spareDevice = "press-1"
	// deviceStop is how long a device may take to publish what waits, at the end.
	deviceStop = 10 * time.Second
	// deviceDeployment is the fragment of a deployment that a real core gets: see docs/devices.md.
	deviceDeployment = "recipes/client-devices.json"
)

// topicMapping reads the bridge's configuration from the fragment.
func topicMapping() (map[string]devices.Mapping, error) {
	data, err := os.ReadFile(deviceDeployment)
	if err != nil {
		return nil, fmt.Errorf("read the deployment of client devices: %w", err)
	}
	var fragment map[string]struct {
		ConfigurationUpdate struct {
			Merge string `json:"merge"`
		} `json:"configurationUpdate"`
	}
	if err := json.Unmarshal(data, &fragment); err != nil {
		return nil, fmt.Errorf("read %s: %w", deviceDeployment, err)
	}
	var bridge struct {
		Mapping map[string]devices.Mapping `json:"mqttTopicMapping"`
	}
	if err := json.Unmarshal([]byte(fragment["aws.greengrass.clientdevices.mqtt.Bridge"].ConfigurationUpdate.Merge), &bridge); err != nil {
		return nil, fmt.Errorf("read the bridge's configuration in %s: %w", deviceDeployment, err)
	}
	return bridge.Mapping, nil
}

// startDevices starts each machine of the plant as a client device, a process with a certificate of its own.
func (d *demo) startDevices(ctx context.Context, version string) error {
	mapping, err := topicMapping()
	if err != nil {
		return err
	}
	iot := d.cloud.Devices()
	broker, err := d.core.StartClientDevices(devices.Options{
		Roots: iot.Roots(), Associated: iot.Associated, Mapping: mapping, Publishable: []string{event.TelemetryTopic("${thing}")},
	})
	if err != nil {
		return err
	}
	dir := filepath.Join(d.options.root, "devices")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the devices' folder: %w", err)
	}
	plant, err := json.Marshal(d.options.plant(d.options.length()))
	if err != nil {
		return fmt.Errorf("encode the plant: %w", err)
	}
	plantFile := filepath.Join(dir, "plant.json")
	if err := os.WriteFile(plantFile, plant, 0o600); err != nil {
		return fmt.Errorf("write the plant: %w", err)
	}
	program := filepath.Join(d.options.stage, "artifacts", event.SensorSimulator, version, "sensor-simulator-linux-"+programArch())
	ends := d.cloud.Endpoints()
	if err := os.WriteFile(filepath.Join(dir, "discovery"), []byte(ends.Discovery+"\n"), 0o600); err != nil {
		return fmt.Errorf("write discovery's address: %w", err)
	}
	enroll := func(thing string) (certificate, key string, err error) {
		iot.Associate(thing, func() localcloud.DiscoveredCore {
			return localcloud.DiscoveredCore{Thing: "edgepdm-core", CAs: []string{broker.CA()}, Addresses: []localcloud.DiscoveredAddress{{Host: "127.0.0.1", Port: broker.Port()}}}
		})
		return iot.Create(thing, dir)
	}
	if _, _, err := enroll(spareDevice); err != nil {
		return err
	}
	for i := range d.options.things {
		thing := fmt.Sprintf("compressor-%d", i+1)
		certificate, key, err := enroll(thing)
		if err != nil {
			return err
		}
		log, err := os.Create(filepath.Join(d.options.root, "logs", "device-"+thing+".log"))
		if err != nil {
			return fmt.Errorf("create a device's log: %w", err)
		}
		c := exec.CommandContext(context.WithoutCancel(ctx), program, "device", "-thing", thing, "-cert", certificate, "-key", key,
			"-discovery", ends.Discovery, "-ca", ends.CAFile, "-plant", plantFile)
		c.Stdout, c.Stderr = log, log
		err = d.startDevice(c)
		_ = log.Close() // the process has it
		if err != nil {
			return fmt.Errorf("start %s: %w", thing, err)
		}
	}
	d.print("%d machines are client devices: each found the core by discovery, and connects to 127.0.0.1:%d with its own certificate", len(d.devices), broker.Port())
	return nil
}

// startDevice starts a device in a process group of its own: Ctrl-C in the terminal is for the demo, which stops the devices in order.
func (d *demo) startDevice(c *exec.Cmd) error {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return err
	}
	d.devices = append(d.devices, c)
	return nil
}

// programArch is this machine's part of a program's name.
func programArch() string {
	if runtime.GOARCH == "arm" {
		return "armv7"
	}
	return runtime.GOARCH
}

// stopDevices ends the devices, and waits for them.
func (d *demo) stopDevices() error {
	var errs []error
	for _, c := range d.devices {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
	}
	for _, c := range d.devices {
		kill := time.AfterFunc(deviceStop, func() { _ = c.Process.Kill() })
		if err := c.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("client device: %w; see %s/logs", err, d.options.root))
		}
		kill.Stop()
	}
	d.devices = nil
	return errors.Join(errs...)
}
