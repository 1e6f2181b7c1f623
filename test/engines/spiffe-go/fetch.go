package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// Everything that the real client can ask for, once.
func fetch(ctx context.Context, args []string) error {
	set := flags("fetch")
	socket := set.String("socket", "", "SPIFFE_ENDPOINT_SOCKET")
	audience := set.String("audience", "", "audience of a JWT-SVID, which is then fetched too")
	id := set.String("id", "", "SPIFFE ID of the JWT-SVID, when there are several")
	if err := parse(set, args, "socket"); err != nil {
		return err
	}
	ctx, cancel := within(ctx)
	defer cancel()
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(*socket))
	if err != nil {
		return err
	}
	defer client.Close()
	x509Context, err := client.FetchX509Context(ctx)
	if err != nil {
		return err
	}
	said := x509Said(x509Context)
	bundles, err := client.FetchX509Bundles(ctx)
	if err != nil {
		return err
	}
	said["bundles"] = x509BundlesSaid(bundles)
	jwtBundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	said["jwtBundles"] = jwtBundlesSaid(jwtBundles)
	if *audience != "" {
		if err := fetchJWT(ctx, client, jwtBundles, *audience, *id, said); err != nil {
			return err
		}
	}
	say(said)
	return nil
}

func fetchJWT(ctx context.Context, client *workloadapi.Client, bundles *jwtbundle.Set, audience, id string, said object) error {
	params := jwtsvid.Params{Audience: audience}
	if id != "" {
		subject, err := spiffeid.FromString(id)
		if err != nil {
			return err
		}
		params.Subject = subject
	}
	svid, err := client.FetchJWTSVID(ctx, params)
	if err != nil {
		return err
	}
	validated, err := client.ValidateJWTSVID(ctx, svid.Marshal(), audience)
	if err != nil {
		return err
	}
	local, err := jwtsvid.ParseAndValidate(svid.Marshal(), bundles, []string{audience})
	if err != nil {
		return err
	}
	said["jwt"] = object{
		"id": svid.ID.String(), "token": svid.Marshal(), "audience": svid.Audience, "expires": svid.Expiry.UnixMilli(), "hint": svid.Hint,
		"validated": validated.ID.String(), "validatedHere": local.ID.String(),
	}
	return nil
}

// Says each update of the streams, and each error, until it is ended.
func watch(ctx context.Context, args []string) error {
	set := flags("watch")
	socket := set.String("socket", "", "SPIFFE_ENDPOINT_SOCKET")
	if err := parse(set, args, "socket"); err != nil {
		return err
	}
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(*socket), workloadapi.WithBackoffStrategy(soon{}))
	if err != nil {
		return err
	}
	defer client.Close()
	ended := make(chan error, 4)
	go func() { ended <- client.WatchX509Context(ctx, watcher{}) }()
	go func() { ended <- client.WatchX509Bundles(ctx, watcher{}) }()
	go func() { ended <- client.WatchJWTBundles(ctx, watcher{}) }()
	go func() { ended <- steered(ctx, func([]byte) (object, error) { return nil, nil }) }()
	if err := <-ended; ctx.Err() == nil {
		return err
	}
	return nil
}

// Go-spiffe itself waits from one to thirty seconds, which no test has.
type soon struct{}

func (soon) NewBackoff() workloadapi.Backoff { return soon{} }
func (soon) Next() time.Duration             { return 100 * time.Millisecond }
func (soon) Reset()                          {}

type watcher struct{}

func (watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	said := x509Said(update)
	said["event"] = "x509"
	say(said)
}
func (watcher) OnX509ContextWatchError(err error) {
	say(object{"event": "x509-error", "error": err.Error()})
}
func (watcher) OnX509BundlesUpdate(update *x509bundle.Set) {
	say(object{"event": "x509-bundles", "bundles": x509BundlesSaid(update)})
}
func (watcher) OnX509BundlesWatchError(err error) {
	say(object{"event": "x509-bundles-error", "error": err.Error()})
}
func (watcher) OnJWTBundlesUpdate(update *jwtbundle.Set) {
	say(object{"event": "jwt-bundles", "bundles": jwtBundlesSaid(update)})
}
func (watcher) OnJWTBundlesWatchError(err error) {
	say(object{"event": "jwt-bundles-error", "error": err.Error()})
}

func x509Said(from *workloadapi.X509Context) object {
	svids := []object{}
	for _, svid := range from.SVIDs {
		svids = append(svids, svidSaid(svid, from.Bundles))
	}
	return object{"svids": svids, "x509": x509BundlesSaid(from.Bundles)}
}

// An SVID, and whether go-spiffe itself would accept it with the bundles that came with it.
func svidSaid(svid *x509svid.SVID, bundles *x509bundle.Set) object {
	said := object{
		"id": svid.ID.String(), "hint": svid.Hint, "chain": certificates(svid.Certificates),
		"serial": svid.Certificates[0].SerialNumber.Text(16), "expires": svid.Certificates[0].NotAfter.UnixMilli(), "verifies": true,
	}
	if _, _, err := x509svid.Verify(svid.Certificates, bundles); err != nil {
		said["verifies"], said["why"] = false, err.Error()
	}
	return said
}

func x509BundlesSaid(set *x509bundle.Set) object {
	said := object{}
	for _, bundle := range set.Bundles() {
		said[bundle.TrustDomain().Name()] = certificates(bundle.X509Authorities())
	}
	return said
}

func jwtBundlesSaid(set *jwtbundle.Set) object {
	said := object{}
	for _, bundle := range set.Bundles() {
		kids := []string{}
		for kid := range bundle.JWTAuthorities() {
			kids = append(kids, kid)
		}
		said[bundle.TrustDomain().Name()] = kids
	}
	return said
}

func certificates(all []*x509.Certificate) []string {
	texts := []string{}
	for _, one := range all {
		texts = append(texts, base64.StdEncoding.EncodeToString(one.Raw))
	}
	return texts
}
