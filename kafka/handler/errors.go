package handler

import (
	"chronik/kafka/handler/errcode"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// code is the code that this request's client is told for err. It counts
// errors, and logs the first of the request that nobody foresaw.
func (c *call) code(err error) int16 {
	if err == nil {
		return int16(kerr.None)
	}
	code := errcode.For(err, c.api.key, c.version)
	if code == kerr.UnknownServerError && !c.logged {
		c.logged = true
		c.h.log.Error("request failed for a reason without a code", "api", msg.Lookup(c.api.key).Name,
			"client_id", c.header.ClientId.String, "remote", c.s.conn.Host(), "err", err)
	}
	if code != kerr.None {
		c.api.metrics.Fail(code.Name())
	}
	return int16(code)
}

// message is the text that goes with err; null when there is no error.
func message(err error) wire.NullString { return errcode.Message(err) }
