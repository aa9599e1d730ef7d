package handler

import (
	"regexp"
	"strings"

	"chronik/broker"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
)

// ApiVersions (key 18), versions 0 to 4. No feature is finalized: neither
// transactions (transaction.version) nor KIP-848 groups (group.version) are
// built.

// softwareName is what a client may call itself and its version.
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func (c *call) apiVersions(req *msg.ApiVersionsRequest, resp *msg.ApiVersionsResponse) {
	if c.version >= 3 && !(softwareName.MatchString(req.ClientSoftwareName) && softwareName.MatchString(req.ClientSoftwareVersion)) {
		resp.ErrorCode = c.code(broker.ErrInvalidRequest)
		return
	}
	c.s.softwareName, c.s.softwareVersion = strings.Clone(req.ClientSoftwareName), strings.Clone(req.ClientSoftwareVersion)
	resp.ApiKeys = c.h.versions
}

// unknownApiVersions answers a version to come: the body of version 0, which
// every client can read, with the range to choose from.
func (c *call) unknownApiVersions() error {
	resp := msg.ApiVersionsResponse{
		ErrorCode: int16(kerr.UnsupportedVersion),
		ApiKeys:   []msg.ApiVersion{{ApiKey: c.api.key, MinVersion: c.api.advertisedMin, MaxVersion: c.api.max}},
	}
	c.api.metrics.Fail(kerr.UnsupportedVersion.Name())
	c.version = 0
	return c.reply(&resp)
}
