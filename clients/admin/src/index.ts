export {
  Admin,
  createAdmin,
  type Events,
  type Keys,
  type Mails,
  type Metadata,
  type MetadataOptions,
  type ServiceKeys,
  type Sessions,
  type Users,
} from "./admin.js"
export type { AdminOptions, CallOptions } from "./call.js"
export { AdminError, type AdminErrorCode } from "./error.js"
export type * from "./schema.js"
