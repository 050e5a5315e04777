"""What a customer sets up: applications, event types, endpoints."""

from customer import (
    IS_2,
    SET_HEADERS,
    TYPES,
    UPSERT,
    Customer,
    EndpointUpsertIn,
    EventTypeUpsertIn,
    OperationalUpsertIn,
    assert_pages,
    eventually,
    ids,
    ok,
    operational_endpoints,
    options,
    status_of,
)
from standardwebhooks import Webhook
from svix.api import Svix, SvixOptions
from svix import models


class Configuration(Customer):
    def applications(self):
        api, uid = self.svix.application, f"shop-{self.run}"
        app = api.create(models.ApplicationIn(name="Shop", uid=uid, metadata={"plan": "pro"}))
        assert app.id.startswith("app_") and (app.name, app.uid) == ("Shop", uid)
        assert api.get(app.id) == app == api.get(uid)
        assert api.get_or_create(models.ApplicationIn(name="Other", uid=uid)) == app
        assert status_of(lambda: api.create(models.ApplicationIn(name="Shop", uid=uid))) == 409
        ok("application: create, get by id and by uid, get or create, conflict")

        patched = api.patch(uid, models.ApplicationPatch(throttle_rate=50))
        assert (patched.name, patched.metadata, patched.throttle_rate) == ("Shop", {"plan": "pro"}, 50)
        assert api.patch(uid, models.ApplicationPatch(throttle_rate=None)).throttle_rate is None
        replaced = getattr(api, UPSERT)(uid, models.ApplicationIn(name="Store", uid=uid))
        assert (replaced.id, replaced.name, replaced.metadata) == (app.id, "Store", {})
        other = getattr(api, UPSERT)(f"other-{self.run}", models.ApplicationIn(name="Other"))
        assert (other.name, other.uid) == ("Other", f"other-{self.run}")
        ok("application: patch what is given and what is null, replace, create by uid")

        third = api.create(models.ApplicationIn(name="Third"))
        newest = models.Ordering.DESCENDING
        assert_pages(
            lambda **page: api.list(options("ApplicationListOptions", order=newest, **page)),
            [third.id, other.id, app.id],
        )
        for extra in (other, third):
            api.delete(extra.id)
        assert status_of(lambda: api.get(third.id)) == 404
        self.app = replaced
        ok("application: list both ways, delete")

    def event_types(self):
        api, name = self.svix.event_type, self.event_type
        schemas = {"1": {"type": "object", "examples": [{"order": 1}, {"order": 2}]}}
        created = api.create(
            models.EventTypeIn(name=name, description="An order", schemas=schemas, group_name="order")
        )
        assert (created.name, created.schemas, created.archived) == (name, schemas, False)
        assert api.get(name) == created
        assert status_of(lambda: api.create(models.EventTypeIn(name=name, description=""))) == 409
        patched = api.patch(name, models.EventTypePatch(group_name=None, deprecated=True))
        assert (patched.description, patched.group_name, patched.deprecated) == ("An order", None, True)
        replaced = getattr(api, UPSERT)(name, EventTypeUpsertIn(description="New", schemas=schemas))
        assert (replaced.description, replaced.deprecated) == ("New", False)
        ok("event type: create, get, conflict, patch, replace")

        def listed(**given):
            found, page = [], api.list(options("EventTypeListOptions", limit=100, **given))
            while True:
                found += page.data
                if page.done:
                    return {event_type.name: event_type for event_type in found}
                page = api.list(
                    options("EventTypeListOptions", limit=100, iterator=page.iterator, **given)
                )

        assert listed(with_content=True)[name].schemas == schemas
        assert listed(with_content=False)[name].schemas is None
        api.delete(name)
        assert api.get(name).archived
        assert name not in listed() and name in listed(include_archived=True)
        assert not api.patch(name, models.EventTypePatch(archived=False)).archived
        assert name in listed()
        expunged = f"{name}.gone"
        getattr(api, UPSERT)(expunged, EventTypeUpsertIn(description="A mistake"))
        api.delete(expunged, options("EventTypeDeleteOptions", expunge=True))
        assert status_of(lambda: api.get(expunged)) == 404
        ok("event type: list, archive, unarchive, expunge")

        environment = self.svix.environment.export()
        (exported,) = [event_type for event_type in environment.event_types if event_type.name == name]
        assert exported.schemas == schemas
        moved = models.EventTypeIn(name=name, description="Moved", schemas=schemas)
        self.svix.environment.import_(models.EnvironmentIn(event_types=[moved]))
        assert api.get(name).description == "Moved"
        ok("environment: export, import")

        if self.offers("POST", "/event-type/import/openapi"):
            imported = f"{name}.imported"
            schema = {"content": {"application/json": {"schema": {"type": "object"}}}}
            operation = {"post": {"requestBody": schema, "responses": {}, "description": "imported"}}
            spec = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "webhooks": {imported: operation}}
            answer = api.import_openapi(models.EventTypeImportOpenApiIn(spec=spec))
            assert imported in answer.data.modified and api.get(imported).name == imported
            api.delete(imported, options("EventTypeDeleteOptions", expunge=True))
            ok("event type: import of OpenAPI")

    def endpoints(self):
        api, app = self.svix.endpoint, self.app.id
        endpoint = api.create(app, models.EndpointIn(url=self.receiver.url, uid="orders", headers={"X-A": "a"}))
        assert endpoint.id.startswith("ep_") and endpoint.url == self.receiver.url
        assert api.get(app, "orders") == endpoint
        refusing = getattr(api, UPSERT)(app, "refusing", EndpointUpsertIn(url=self.receiver.refusing))
        assert (refusing.uid, refusing.url) == ("refusing", self.receiver.refusing)
        ok("endpoint: create, get, create by uid")

        chosen = {TYPES: [self.event_type], "channels": ["web"], "description": "d", "throttle_rate": 99}
        changed = api.patch(app, "refusing", models.EndpointPatch(**chosen))
        assert {name: getattr(changed, name) for name in chosen} == chosen
        changed = api.patch(app, "refusing", models.EndpointPatch(throttle_rate=None, channels=None))
        assert (changed.throttle_rate, changed.channels, changed.description) == (None, None, "d")
        assert getattr(changed, TYPES) == [self.event_type]
        changed = getattr(api, UPSERT)(
            app, "refusing", EndpointUpsertIn(url=self.receiver.refusing, uid="refusing", disabled=True)
        )
        assert (changed.id, changed.disabled, changed.description) == (refusing.id, True, "")
        third = api.create(app, models.EndpointIn(url=self.receiver.url, disabled=True))
        oldest = [endpoint.id, refusing.id, third.id]
        assert_pages(lambda **page: api.list(app, options("EndpointListOptions", **page)), oldest)
        api.delete(app, third.id)
        ok("endpoint: patch what is given and what is null, replace, list both ways, delete")

        headers = api.get_headers(app, endpoint.id)
        assert (headers.headers, headers.sensitive) == ({"X-A": "a"}, [])
        secret = {"X-B": "b", "Authorization": "secret"}
        getattr(api, SET_HEADERS)(app, endpoint.id, models.EndpointHeadersIn(headers=secret))
        headers = api.get_headers(app, endpoint.id)
        assert (headers.headers, headers.sensitive) == ({"X-B": "b"}, ["Authorization"])
        more = models.EndpointHeadersPatchIn(headers={"X-C": "c"}, delete_headers=["X-B"])
        api.patch_headers(app, endpoint.id, more)
        assert api.get_headers(app, endpoint.id).headers == {"X-C": "c"}
        ok("endpoint: headers")

        old = api.get_secret(app, endpoint.id).key
        api.rotate_secret(app, endpoint.id, models.EndpointSecretRotateIn())
        self.secret = api.get_secret(app, endpoint.id).key
        assert self.secret != old
        self.webhooks = [Webhook(self.secret), Webhook(old)]
        self.endpoint, self.refusing = endpoint, refusing
        ok("endpoint: secret, rotate")

    def operational_webhooks(self):
        api, uid = operational_endpoints(self.svix), f"operator-{self.run}"
        types = {TYPES: ["endpoint.disabled"]}
        created = api.create(
            models.OperationalWebhookEndpointIn(url=self.receiver.url, uid=uid, disabled=True, **types)
        )
        assert created.id.startswith("ep_") and getattr(created, TYPES) == ["endpoint.disabled"]
        assert api.get(uid) == created
        found = api.list(options("OperationalWebhookEndpointListOptions", order="descending", limit=1))
        assert ids(found) == [created.id]
        changed = getattr(api, UPSERT)(
            uid, OperationalUpsertIn(url=self.receiver.url, uid=uid, disabled=True, description="d")
        )
        assert (changed.id, changed.description, getattr(changed, TYPES)) == (created.id, "d", None)
        headers = models.OperationalWebhookEndpointHeadersIn(headers={"X-A": "a"})
        getattr(api, SET_HEADERS)(uid, headers)
        assert api.get_headers(uid).headers == {"X-A": "a"}
        secret = api.get_secret(uid).key
        api.rotate_secret(uid, models.OperationalWebhookEndpointSecretIn())
        assert api.get_secret(uid).key != secret
        api.delete(uid)
        assert status_of(lambda: api.get(uid)) == 404
        ok("operational webhooks: create, get, list, replace, headers, secret, delete")

    def access(self):
        api, app = self.svix.authentication, self.app.id

        def tenant():
            access = api.app_portal_access(app, models.AppPortalAccessIn())
            assert access.url.startswith("http"), access
            tenant = Svix(access.token, SvixOptions(server_url=self.server_url))
            assert tenant.application.get(app).id == app
            return tenant

        first, second = tenant(), tenant()
        first.authentication.logout()
        assert status_of(lambda: first.application.get(app)) == 401
        assert second.application.get(app).id == app
        api.expire_all(app, models.ApplicationTokenExpireIn(expiry=0))
        eventually(lambda: status_of(lambda: second.application.get(app)), lambda status: status == 401)
        if not IS_2:
            assert api.dashboard_access(app).url.startswith("http")
        ok("access: a tenant's token, logout, expire all")
