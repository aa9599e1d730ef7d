package msg

import "chronik/kafka/wire"

// RequestHeader stands in front of every request: version 1, and version 2 (with a tag
// section) if the API's version is flexible. ClientId has a 16-bit length in both. Version 0,
// without ClientId, is that of ControlledShutdown 0 alone.
type RequestHeader struct {
	ApiKey        int16
	ApiVersion    int16
	CorrelationId int32
	ClientId      wire.NullString
}

// Decode reads the header. For an unknown key or version it stops behind ClientId without
// an error, which is enough to answer ApiVersions of a version to come; what follows cannot
// be interpreted.
func (h *RequestHeader) Decode(r *wire.Reader) {
	h.ApiKey = r.Int16()
	h.ApiVersion = r.Int16()
	h.CorrelationId = r.Int32()
	if h.withoutClientID() {
		h.ClientId = wire.NullString{}
		return
	}
	h.ClientId = r.NullString(false, true)
	if a := Lookup(h.ApiKey); a != nil && h.ApiVersion <= a.Max && a.Flexible(h.ApiVersion) {
		r.SkipTags()
	}
}

// Encode appends the header of a request, as a client does.
func (h *RequestHeader) Encode(w *wire.Writer) {
	w.Int16(h.ApiKey)
	w.Int16(h.ApiVersion)
	w.Int32(h.CorrelationId)
	if h.withoutClientID() {
		return
	}
	w.NullString(h.ClientId, false, true)
	if a := Lookup(h.ApiKey); a != nil && a.Flexible(h.ApiVersion) {
		w.NoTags()
	}
}

func (h *RequestHeader) withoutClientID() bool {
	return h.ApiKey == KeyControlledShutdown && h.ApiVersion == 0
}

// responseTags reports whether the response header of the API has a tag section (header
// version 1). ApiVersions never has, so that a client can read the answer to a version the
// server does not know (KIP-511).
func responseTags(key, version int16) bool {
	a := Lookup(key)
	return a != nil && key != KeyApiVersions && a.Flexible(version)
}

// EncodeResponseHeader appends the response header.
func EncodeResponseHeader(w *wire.Writer, key, version int16, correlationID int32) {
	w.Int32(correlationID)
	if responseTags(key, version) {
		w.NoTags()
	}
}

// DecodeResponseHeader reads the response header and returns its correlation id.
func DecodeResponseHeader(r *wire.Reader, key, version int16) int32 {
	id := r.Int32()
	if responseTags(key, version) {
		r.SkipTags()
	}
	return id
}

// EncodeRequest begins a frame in w and puts header and body into it.
func EncodeRequest(w *wire.Writer, req Request, version int16, correlationID int32, clientID wire.NullString) {
	w.BeginFrame()
	h := RequestHeader{req.APIKey(), version, correlationID, clientID}
	h.Encode(w)
	req.Encode(w, version)
}

// EncodeResponse begins a frame in w and puts header and body into it.
func EncodeResponse(w *wire.Writer, resp Response, version int16, correlationID int32) {
	w.BeginFrame()
	EncodeResponseHeader(w, resp.APIKey(), version, correlationID)
	resp.Encode(w, version)
}
