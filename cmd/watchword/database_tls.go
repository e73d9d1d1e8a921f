package main

import (
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
)

// unverifiedDatabaseHost returns the host of a PostgreSQL server whose certificate the program
// would not verify, or "". By default (sslmode=prefer), the driver accepts any certificate, and
// connects without encryption if the server offers none. A machine on the network path can then
// read and change everything, including password hashes and keys.
//
// The function reads the configuration as the driver does, including PGSSLMODE and service
// files. It also reports sslmode=verify-ca, because this mode accepts any certificate of the
// authority, for any host.
func unverifiedDatabaseHost(url string) string {
	if !strings.HasPrefix(url, "postgres") {
		return ""
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "" // storeProblem reports an invalid URL
	}
	// The fallbacks of the connection are checked, too. A mode such as prefer has a fallback
	// without TLS, and a list of hosts has a fallback for each host.
	if config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify {
		if isRemote(config.Host) {
			return config.Host
		}
	}
	for _, other := range config.Fallbacks {
		if (other.TLSConfig == nil || other.TLSConfig.InsecureSkipVerify) && isRemote(other.Host) {
			return other.Host
		}
	}
	return ""
}

// isRemote reports whether a host of a PostgreSQL URL may be another machine. A path is a Unix
// socket. A name below localhost counts as remote, because the resolver of the system may send
// it elsewhere.
func isRemote(host string) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" {
		return false
	}
	address, err := netip.ParseAddr(host)
	return err != nil || !address.Unmap().IsLoopback()
}
