package localcore

import "errors"

// SetIoTCoreOnline cuts and restores the core's own connection to IoT Core. Other clients of the broker stay connected.
func (c *Core) SetIoTCoreOnline(online bool) { c.broker.SetOnline(online) }

// errNoDaemons is the answer of a classic nucleus, which is one process.
var errNoDaemons = errors.New("only nucleus lite has daemons that can end alone")

// KillPubSub ends nucleus lite's ggpubsubd, which systemd starts again at once. ggipcd notices and says nothing: every
// subscription to a local topic stays open and is silent for good. Publishing and new subscriptions work.
func (c *Core) KillPubSub() error {
	if !c.lite {
		return errNoDaemons
	}
	c.pubsub.Forget()
	return nil
}

// KillIPC ends nucleus lite's ggipcd, which systemd starts again at once; the socket is systemd's and stays. Every
// connection breaks and no token (SVCUID) is valid any more, at the token exchange service neither. A process of a
// component can connect again by its component's name, which makes a new token.
func (c *Core) KillIPC() error {
	if !c.lite {
		return errNoDaemons
	}
	c.server.ForgetTokens()
	return nil
}

// BreakOff does what a nucleus does first when it stops: it breaks all connections and knows no token any more, while its
// components still run.
func (c *Core) BreakOff() { c.server.ForgetTokens() }
