package forwarder

import (
	"context"
	"errors"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

// placeNucleus is who says whether the nucleus is connected to AWS IoT Core, over which predictions go.
const placeNucleus = "nucleus"

// watchConnection hears from the nucleus whether it is connected to AWS IoT Core, until ctx ends. A nucleus that does not
// know the operation says nothing: then the results of publishing have to do.
func (r *run) watchConnection(ctx context.Context) {
	backoff := wait.Backoff{Min: time.Second, Max: time.Minute}
	for attempt := 1; ctx.Err() == nil; attempt++ {
		sub, err := r.rt.IPC().SubscribeToIoTCoreConnectionStatus(ctx, ipc.SubscribeToIoTCoreConnectionStatusRequest{})
		if _, refused := errors.AsType[*ipc.OperationError](err); refused {
			r.rt.Log.Info("this nucleus does not tell whether it is connected to AWS IoT Core", "error", err)
			return
		}
		if err == nil {
			r.hearConnection(ctx, sub)
			attempt = 1
		}
		backoff.Wait(ctx, attempt)
	}
}

func (r *run) hearConnection(ctx context.Context, sub *ipc.Subscription[ipc.IoTCoreConnectionStatusEvent]) {
	by := sender{stream: placeNucleus}
	defer r.uplink.forget(by)
	defer func() { _ = sub.Close() }()
	for {
		select {
		case e, open := <-sub.Events():
			if !open {
				return
			}
			if e.ConnectionStatusEvent != nil {
				r.uplink.set(by, e.ConnectionStatusEvent.Status == ipc.Connected)
			}
		case <-ctx.Done():
			return
		}
	}
}
