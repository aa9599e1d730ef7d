package main

import (
	"net"
	"strconv"
	"time"

	"chronik/cmd/chronik-server/client"

	"github.com/spf13/cobra"
)

// waitMax is how long a command waits for a broker, unless it is told.
const waitMax = 30 * time.Second

// addClientFlags defines the flags of commands that ask a running broker.
func (a *app) addClientFlags(cmd *cobra.Command) {
	a.addOutputFlag(cmd)
	cmd.Flags().StringVar(&a.server, "bootstrap-server", "", "host:port of a broker (default this configuration's bind address and Kafka port)")
	cmd.Flags().DurationVar(&a.timeout, "timeout", waitMax, "How long the command may take")
}

// connect dials the broker that the command line names.
func (a *app) connect() (*client.Conn, error) {
	addr := a.server
	if addr == "" {
		c, err := a.load("")
		if err != nil {
			return nil, err
		}
		host := c.Server.BindAddr
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		addr = net.JoinHostPort(host, strconv.Itoa(c.Server.KafkaPort))
	} else if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, usagef("--bootstrap-server %s: want host:port, as localhost:9092", addr)
	}
	return client.Dial(addr, time.Now().Add(a.timeout))
}

// clientCommand is a command that asks a running broker.
func (a *app) clientCommand(use, short string, args cobra.PositionalArgs, f func(cmd *cobra.Command, c *client.Conn, args []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(a.output); err != nil {
			return err
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Settled(cmd.Context(), func() error { return f(cmd, c, args) })
	}}
	a.addClientFlags(cmd)
	return cmd
}
