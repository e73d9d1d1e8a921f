import { createCaller, type AdminOptions, type Call, type CallOptions } from "./call.js"
import { AdminError } from "./error.js"
import * as api from "./schema.js"

/** Creates a client of the administration API. It sends no request until a method is called. */
export function createAdmin(options: AdminOptions): Admin {
  return new Admin(createCaller(options))
}

/** A client of the administration API. Use {@link createAdmin}. */
export class Admin {
  readonly users: Users
  readonly sessions: Sessions
  readonly metadata: Metadata
  readonly serviceKeys: ServiceKeys
  readonly events: Events
  readonly mails: Mails
  readonly keys: Keys
  readonly #call: Call

  constructor(call: Call) {
    this.#call = call
    this.users = new Users(call)
    this.sessions = new Sessions(call, this.users)
    this.metadata = new Metadata(call, this.users)
    this.serviceKeys = new ServiceKeys(call)
    this.events = new Events(call)
    this.mails = new Mails(call)
    this.keys = new Keys(call)
  }

  /** Returns the numbers of accounts, live sessions, unsent mails and recent events. */
  stats(options?: CallOptions): Promise<api.StatsAnswer> {
    return this.#call(api.getAdminStats, {}, options)
  }
}

async function* itemsOfAllPages<T>(
  page: (after: string | undefined) => Promise<{ items: T[]; next?: string | undefined }>,
  begin: string | undefined,
): AsyncGenerator<T, void, undefined> {
  for (let after = begin; ; ) {
    const { items, next } = await page(after)
    yield* items
    if (!next) return
    after = next
  }
}

/** Finds and changes accounts. */
export class Users {
  readonly #call: Call

  constructor(call: Call) {
    this.#call = call
  }

  /** Returns the accounts of all pages: `for await (const user of admin.users.list({ role: "member" }))`. */
  list(query: api.AdminUsersQuery = {}, options?: CallOptions): AsyncGenerator<api.AdminUser, void, undefined> {
    return itemsOfAllPages((after) => this.page({ ...query, after }, options), query.after)
  }

  /** Returns one page. A page with `next` can have fewer items than the limit, or even zero items. */
  page(query: api.AdminUsersQuery = {}, options?: CallOptions): Promise<api.AdminUsersAnswer> {
    return this.#call(api.getAdminUsers, { query }, options)
  }

  /** Returns an account with its metadata, live sessions and last events. An unknown id throws NOT_FOUND. */
  get(id: string, options?: CallOptions): Promise<api.AdminUserDetailAnswer> {
    return this.#call(api.getAdminUsersById, { ids: [id] }, options)
  }

  /** Creates an account. With `invite`, the address gets a mail with a link to choose a password. */
  create(body: api.AdminInvite, options?: CallOptions): Promise<api.AdminUserAnswer> {
    return this.#call(api.postAdminUsers, { body }, options)
  }

  /** Creates an account and mails an invitation, as `create` does with `invite`. */
  invite(body: Omit<api.AdminInvite, "invite" | "verified">, options?: CallOptions): Promise<api.AdminUserAnswer> {
    return this.create({ ...body, invite: true }, options)
  }

  /** Changes the given members. `roles` replaces all roles of the account. */
  update(id: string, body: api.AdminChange, options?: CallOptions): Promise<api.AdminUserAnswer> {
    return this.#call(api.patchAdminUsersById, { ids: [id], body }, options)
  }

  /** Deletes an account at once and permanently. */
  delete(id: string, options?: CallOptions): Promise<api.Message> {
    return this.#call(api.deleteAdminUsersById, { ids: [id] }, options)
  }

  /** Mails a new invitation, which replaces the earlier one. */
  inviteMail(id: string, options?: CallOptions): Promise<api.Message> {
    return this.#call(api.postAdminUsersByIdInvite, { ids: [id] }, options)
  }

  /** Mails a link to choose a password. An invited user without a password gets a new invitation. */
  resetMail(id: string, options?: CallOptions): Promise<api.Message> {
    return this.#call(api.postAdminUsersByIdResetMail, { ids: [id] }, options)
  }

  /** Mails a link to verify the address. Throws VALIDATION_FAILED if the address is already verified. */
  verifyMail(id: string, options?: CallOptions): Promise<api.Message> {
    return this.#call(api.postAdminUsersByIdVerifyMail, { ids: [id] }, options)
  }

  /** Removes all second factors of an account, and ends its sessions. */
  resetFactors(id: string, options?: CallOptions): Promise<api.Message> {
    return this.#call(api.postAdminUsersByIdResetFactors, { ids: [id] }, options)
  }

  /** Explains why an account was signed out. It accepts the id of a deleted account, too. */
  explain(id: string, query: api.AdminUsersExplainQuery = {}, options?: CallOptions): Promise<api.AdminExplainAnswer> {
    return this.#call(api.getAdminUsersByIdExplain, { ids: [id], query }, options)
  }
}

/** Lists and ends sessions of accounts. */
export class Sessions {
  readonly #call: Call
  readonly #users: Users

  constructor(call: Call, users: Users) {
    this.#call = call
    this.#users = users
  }

  /** Returns the live sessions of an account, the most recently used first. */
  async list(user: string, options?: CallOptions): Promise<api.Session[]> {
    return (await this.#users.get(user, options)).sessions
  }

  /** Ends one session. Throws NOT_FOUND if the session is not live. */
  end(user: string, session: string, options?: CallOptions): Promise<api.AdminEndedAnswer> {
    return this.#call(api.deleteAdminUsersByIdSessionsBySid, { ids: [user, session] }, options)
  }

  /** Signs an account out everywhere. `ended` is the number of sessions that were live. */
  endAll(user: string, options?: CallOptions): Promise<api.AdminEndedAnswer> {
    return this.#call(api.deleteAdminUsersByIdSessions, { ids: [user] }, options)
  }
}

export interface MetadataOptions extends CallOptions {
  /**
   * The version of the metadata that the patch relies on. If the stored version differs, the call
   * throws VERSION_CHANGED and changes nothing. An account without metadata has version 0.
   */
  version?: number | undefined
}

/** Reads and writes the two JSON objects of an account. */
export class Metadata {
  readonly #call: Call
  readonly #users: Users

  constructor(call: Call, users: Users) {
    this.#call = call
    this.#users = users
  }

  /** Returns both objects and their version. */
  async get(user: string, options?: CallOptions): Promise<api.AdminMetadataAnswer> {
    return existing((await this.#users.get(user, options)).metadata)
  }

  /**
   * Changes one object or both with a JSON merge patch (RFC 7396), in which `null` removes a member. Returns
   * both objects after the change.
   */
  async patch(
    user: string,
    metadata: api.AdminMetadata,
    { version, ...options }: MetadataOptions = {},
  ): Promise<api.AdminMetadataAnswer> {
    const ifMatch = version === undefined ? undefined : `"${version}"`
    const given = { ids: [user], body: { metadata }, ifMatch }
    return existing((await this.#call<api.AdminUserAnswer>(api.patchAdminUsersById, given, options)).metadata)
  }
}

function existing(metadata: api.AdminMetadataAnswer | undefined): api.AdminMetadataAnswer {
  if (metadata) return metadata
  throw new AdminError("NOT_FOUND", "The server has no metadata of accounts.")
}

/**
 * Manages the credentials of programs. It needs the access token of an administrator, because a service key
 * must not create or revoke keys.
 */
export class ServiceKeys {
  readonly #call: Call

  constructor(call: Call) {
    this.#call = call
  }

  /** Returns all keys, including expired and revoked keys, the newest first. */
  list(
    query: api.AdminServiceKeysQuery = {},
    options?: CallOptions,
  ): AsyncGenerator<api.ServiceKeyAnswer, void, undefined> {
    return itemsOfAllPages((after) => this.page({ ...query, after }, options), query.after)
  }

  /** Returns one page. */
  page(query: api.AdminServiceKeysQuery = {}, options?: CallOptions): Promise<api.ServiceKeysAnswer> {
    return this.#call(api.getAdminServiceKeys, { query }, options)
  }

  /**
   * Creates a key. Only this response contains `key`. If the response to an earlier attempt with the same
   * Idempotency-Key was lost, `key` is missing: revoke the key by its id, and create another.
   */
  create(body: api.CreateServiceKey, options?: CallOptions): Promise<api.CreatedServiceKeyAnswer> {
    return this.#call(api.postAdminServiceKeys, { body }, options)
  }

  /** Revokes a key. The server rejects the key's next request. Throws NOT_FOUND if the key is already revoked. */
  revoke(id: string, options?: CallOptions): Promise<api.Message> {
    return this.#call(api.deleteAdminServiceKeysById, { ids: [id] }, options)
  }
}

/** Finds security events, including those of deleted accounts. */
export class Events {
  readonly #call: Call

  constructor(call: Call) {
    this.#call = call
  }

  /** Returns the events of all pages, the newest first. */
  list(query: api.AdminEventsQuery = {}, options?: CallOptions): AsyncGenerator<api.EventAnswer, void, undefined> {
    return itemsOfAllPages((after) => this.page({ ...query, after }, options), query.after)
  }

  /** Returns one page. A page with `next` can have fewer items than the limit, or even zero items. */
  page(query: api.AdminEventsQuery = {}, options?: CallOptions): Promise<api.EventsAnswer> {
    return this.#call(api.getAdminEvents, { query }, options)
  }
}

/** Lists and retries the mails that were not sent yet. */
export class Mails {
  readonly #call: Call

  constructor(call: Call) {
    this.#call = call
  }

  /** Returns waiting and abandoned mails, the oldest first. */
  list(query: api.AdminMailsQuery = {}, options?: CallOptions): AsyncGenerator<api.OutboxMailAnswer, void, undefined> {
    return itemsOfAllPages((after) => this.page({ ...query, after }, options), query.after)
  }

  /** Returns one page. */
  page(query: api.AdminMailsQuery = {}, options?: CallOptions): Promise<api.MailsAnswer> {
    return this.#call(api.getAdminMails, { query }, options)
  }

  /** Sends a mail now, even an abandoned mail. Throws NOT_FOUND if it was sent in the meantime. */
  retry(id: string, options?: CallOptions): Promise<api.Message> {
    return this.#call(api.postAdminMailsByIdRetry, { ids: [id] }, options)
  }
}

/** Shows and rotates the signing and refresh keys of the server. */
export class Keys {
  readonly #call: Call

  constructor(call: Call) {
    this.#call = call
  }

  /** Returns the states of all keys. */
  async list(options?: CallOptions): Promise<api.KeyStateAnswer[]> {
    return (await this.#call<api.KeyStatesAnswer>(api.getAdminKeys, {}, options)).items
  }

  /** Activates the next key for a use. Tokens of the old key stay valid until they expire. */
  async rotate(use: api.RotateKeys["use"], options?: CallOptions): Promise<api.KeyStateAnswer[]> {
    return (await this.#call<api.KeyStatesAnswer>(api.postAdminKeysRotate, { body: { use } }, options)).items
  }
}
