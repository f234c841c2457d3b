internal import LogModel

/// One step of a schema. Steps are only ever added: a published one never changes, which its checksum proves.
package struct Migration: Sendable {
    /// 1, 2, 3 … without holes.
    package let version: Int
    package let name: String
    package let sql: String
    /// XXH64 of the file's bytes.
    package let checksum: UInt64
    /// Of the same step as it was before a release: databases made then are right as they are.
    package let formerChecksums: [UInt64]

    package init(version: Int, name: String, sql: String, checksum: UInt64, formerChecksums: [UInt64] = []) {
        self.version = version
        self.name = name
        self.sql = sql
        self.checksum = checksum
        self.formerChecksums = formerChecksums
    }

    /// From a file embedded in the binary.
    init(version: Int, name: String, bytes: [UInt8], formerChecksums: [UInt64] = []) {
        self.init(
            version: version,
            name: name,
            sql: String(decoding: bytes, as: UTF8.self),
            checksum: bytes.withUnsafeBufferPointer { XXH64.hash($0) },
            formerChecksums: formerChecksums
        )
    }
}

/// The schemas, each as the ordered list of its steps. Computed at each use and not kept: they are needed once a start.
package enum Migrations {
    /// The PostgreSQL schema: docs/formats/postgresql.md. Each step can be run again on its own result without effect, so
    /// that a table somebody dropped is made again.
    package static var warehouse: [Migration] {
        [
            Migration(version: 1, name: "create", bytes: PackageResources.warehouse_0001_create_sql),
            Migration(
                version: 2,
                name: "merges",
                bytes: PackageResources.warehouse_0002_merges_sql,
                // A comment in it held a character that LATIN1 does not have: no such database could be set up.
                formerChecksums: [0xE986_201E_68D0_2D8C]
            ),
            Migration(version: 3, name: "positions", bytes: PackageResources.warehouse_0003_positions_sql),
        ]
    }

    /// The schema of the file that holds spool and embedded store (SQLite): docs/formats/spool-file.md.
    package static var spool: [Migration] {
        [
            Migration(version: 1, name: "create", bytes: PackageResources.spool_0001_create_sql),
            Migration(version: 2, name: "merges", bytes: PackageResources.spool_0002_merges_sql),
            Migration(version: 3, name: "sent", bytes: PackageResources.spool_0003_sent_sql),
            Migration(version: 4, name: "positions", bytes: PackageResources.spool_0004_positions_sql),
        ]
    }
}
