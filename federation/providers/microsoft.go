package providers

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword/federation"
)

// Microsoft has one issuer for each tenant. The discovery document of a group of tenants has a template as its
// issuer. Anyone can create a tenant, and the administrator of a tenant can write any address into the claim email.
// This server therefore checks the tenant, and does not trust the address by itself.

const (
	microsoft      = "https://login.microsoftonline.com"
	tenantTemplate = "{tenantid}"

	// tenantPersonal is the tenant of all personal accounts.
	tenantPersonal = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

var (
	tenantID     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	tenantGroups = []string{"common", "organizations", "consumers"}
)

// prepareMicrosoft checks the tenants in the settings, and sets the issuer. For a single tenant or group, it is the
// issuer of this tenant or group. For a list of tenants, it is the issuer of all organizations.
func (c *client) prepareMicrosoft() error {
	all := c.opts.Tenants
	for _, tenant := range all {
		if !tenantID.MatchString(tenant) && (len(all) > 1 || !slices.Contains(tenantGroups, tenant)) {
			return fmt.Errorf("the tenant %q is not valid: write ids of tenants in lower case, or one of %s", tenant,
				strings.Join(tenantGroups, ", "))
		}
		// A list of tenants uses the issuer of all organizations, which does not accept personal accounts. The list
		// must therefore not contain the tenant of personal accounts.
		if tenant == tenantPersonal && len(all) > 1 {
			return fmt.Errorf("the tenant %q of personal accounts can't be in a list: write consumers or common", tenant)
		}
	}
	switch len(all) {
	case 0:
		return errors.New("the kind microsoft needs a tenant")
	case 1:
		c.issuer += "/" + all[0] + "/v2.0"
	default:
		c.issuer += "/organizations/v2.0"
	}
	return nil
}

// tenantIssuer checks the issuer of a discovery document. For one tenant, it must be the issuer of that tenant. For a
// group of tenants, the issuer with the placeholder {tenantid} is also valid. For the group "consumers", the issuer
// of the tenant of all personal accounts is valid, too.
func tenantIssuer(c *client, issuer string) error {
	template := strings.Replace(c.issuer, c.tenantPart(), tenantTemplate, 1)
	personal := strings.Replace(c.issuer, "consumers", tenantPersonal, 1)
	if issuer != c.issuer && (c.isOneTenant() || issuer != template) && issuer != personal {
		return fmt.Errorf("the document names the issuer %q, and not %q", issuer, c.issuer)
	}
	return nil
}

// tenantPart returns the part of the issuer that names tenants.
func (c *client) tenantPart() string {
	if len(c.opts.Tenants) == 1 {
		return c.opts.Tenants[0]
	}
	return "organizations"
}

func (c *client) isOneTenant() bool { return tenantID.MatchString(c.tenantPart()) }

// checkTenant checks the issuer of an ID token. It must be the template with the tenant of the user,
// and the setting must allow this tenant.
func checkTenant(c *client, claims idClaims) error {
	if !tenantID.MatchString(claims.Tenant) {
		return errors.New("it names no tenant (tid)")
	}
	if want := strings.Replace(c.issuer, c.tenantPart(), claims.Tenant, 1); claims.Issuer != want {
		return fmt.Errorf("its issuer is %.100q, and not %q", claims.Issuer, want)
	}
	allowed := slices.Contains(c.opts.Tenants, claims.Tenant)
	switch c.tenantPart() {
	case "common":
		allowed = true
	case "consumers":
		allowed = claims.Tenant == tenantPersonal
	case "organizations":
		allowed = claims.Tenant != tenantPersonal && (len(c.opts.Tenants) == 1 || allowed)
	}
	if !allowed {
		return fmt.Errorf("%w: the tenant %s is not one of the setting", federation.ErrNotAllowed, claims.Tenant)
	}
	return nil
}
