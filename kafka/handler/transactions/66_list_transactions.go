package transactions

import (
	"fmt"
	"regexp"
	"slices"

	"chronik/broker/group"
	"chronik/broker/transaction"
	"chronik/kafka/msg"
)

// ListTransactions (key 66), versions 0 to 2. A duration from 1, a pattern from 2.

// ListTransactions answers ListTransactions: the transactional ids that this
// node coordinates and that every filter lets through.
func (c *Call) ListTransactions(req *msg.ListTransactionsRequest, resp *msg.ListTransactionsResponse) {
	var states []transaction.State
	for _, name := range req.StateFilters {
		if s, ok := transaction.StateNamed(name); ok {
			states = append(states, s)
		} else {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, name)
		}
	}
	var pattern *regexp.Regexp
	if p := req.TransactionalIdPattern; p.Valid && p.String != "" {
		var err error
		if pattern, err = regexp.Compile(`\A(?:` + p.String + `)\z`); err != nil {
			resp.ErrorCode = c.Code(fmt.Errorf("%w: %w", transaction.ErrPattern, err))
			return
		}
	}
	all, err := c.Broker.ListTransactions()
	if err != group.None {
		resp.ErrorCode = c.errorCode(err)
		return
	}
	ids := map[int64]bool{}
	for _, id := range req.ProducerIdFilters {
		ids[id] = true
	}
	now := c.Now().UnixMilli()
	for _, d := range all {
		switch {
		case len(req.StateFilters) > 0 && !slices.Contains(states, d.State):
		case len(ids) > 0 && !ids[d.ProducerID]:
		case req.DurationFilter >= 0 && (d.StartMs < 0 || now-d.StartMs <= req.DurationFilter):
		case pattern != nil && !pattern.MatchString(d.ID):
		default:
			resp.TransactionStates = append(resp.TransactionStates, msg.ListTransactionsResponseTransactionState{
				TransactionalId: d.ID, ProducerId: d.ProducerID, TransactionState: d.State.String(),
			})
		}
	}
}
