internal import Delivery
internal import Migrations
internal import Ports
internal import PostgresClient

/// Brings the database's schema up to ours: forward only, each step once, one process at a time.
///
/// What was done stands in `logboom_migrations(version, name, checksum, applied_at)`. When nothing is to do, this is one
/// SELECT: a role without the right to create tables is enough once somebody else has run the steps.
struct SchemaMigrator {
    /// "Logboom1" in ASCII: any number will do that nobody else locks by.
    static let advisoryLock: Int64 = 0x4C6F_6762_6F6F_6D31

    /// Rewriting a table of some million old rows takes a Pi minutes; it happens once.
    static let stepTimeout: Duration = .seconds(1800)

    let migrations: [Migration]

    /// - Parameter force: runs every step again although it stands there as done, because a table is missing.
    func migrate(_ connection: Connection, force: Bool) throws(SinkError) {
        if !force, try pending(connection).isEmpty { return }
        let answerTimeout = connection.answerTimeout
        connection.answerTimeout = Self.stepTimeout
        defer { connection.answerTimeout = answerTimeout }
        do throws(SinkError) {
            try run("BEGIN", connection, "begin the migration")
            // Others wait here, then see what we did. Local settings end with the transaction.
            try run(
                """
                SET LOCAL statement_timeout = '\(Self.stepTimeout.components.seconds)s';
                SET LOCAL lock_timeout = '60s';
                SET LOCAL client_min_messages = warning;
                SELECT pg_advisory_xact_lock(\(Self.advisoryLock));
                CREATE TABLE IF NOT EXISTS logboom_migrations (
                    version    integer PRIMARY KEY,
                    name       text NOT NULL,
                    checksum   bigint NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now()
                );
                COMMENT ON TABLE logboom_migrations IS 'Steps of the schema that were run. Do not edit (Logboom).'
                """,
                connection,
                "prepare the migration"
            )
            let steps = try pending(connection)
            for step in force ? migrations[...] : steps {
                try run(step.sql, connection, "run migration \(step.version) (\(step.name))")
                var parameters = QueryParameters()
                parameters.append(Int64(step.version))
                parameters.append(step.name)
                parameters.append(Int64(bitPattern: step.checksum))
                do throws(PostgresError) {
                    _ = try connection.execute(
                        """
                        INSERT INTO logboom_migrations (version, name, checksum) VALUES ($1::bigint, $2::text, $3::bigint)
                        ON CONFLICT (version) DO NOTHING
                        """,
                        parameters,
                        action: "record migration \(step.version)"
                    )
                } catch {
                    throw SinkError(error, .preparing)
                }
            }
            try run("COMMIT", connection, "commit the migration")
        } catch {
            if connection.isUsable { try? run("ROLLBACK", connection, "roll the migration back") }
            throw error
        }
    }

    /// The steps not run yet. Throws when what was run is not what we have.
    private func pending(_ connection: Connection) throws(SinkError) -> ArraySlice<Migration> {
        var applied: [(version: Int, checksum: UInt64)] = []
        do throws(PostgresError) {
            let table = try connection.run("SELECT to_regclass('logboom_migrations')", action: "look for the schema")
            if table.text(0, 0) != nil {
                let rows = try connection.run(
                    "SELECT version, checksum FROM logboom_migrations ORDER BY version",
                    action: "read the schema's version"
                )
                for row in 0..<rows.rowCount {
                    let version = Int(rows.integer(row, 0) ?? 0)
                    applied.append((version, UInt64(bitPattern: rows.integer(row, 1) ?? 0)))
                }
            }
        } catch {
            throw SinkError(error, .preparing)
        }
        for step in applied {
            guard let ours = migrations.first(where: { $0.version == step.version }) else {
                throw SinkError(
                    .permanent,
                    code: "SCHEMA_NEWER",
                    "check the schema: the database is at version \(step.version), this program knows versions up to"
                        + " \(migrations.last?.version ?? 0): install a newer logboom on this machine"
                )
            }
            guard ours.checksum == step.checksum || ours.formerChecksums.contains(step.checksum) else {
                throw SinkError(
                    .permanent,
                    code: "SCHEMA_CHANGED",
                    "check the schema: migration \(step.version) (\(ours.name)) was run with another content than this"
                        + " program has (checksum mismatch): the database was made by a modified logboom"
                )
            }
        }
        return migrations[applied.count...]
    }

    private func run(_ script: String, _ connection: Connection, _ action: String) throws(SinkError) {
        do throws(PostgresError) {
            _ = try connection.run(script, action: action)
        } catch {
            throw SinkError(error, .preparing)
        }
    }
}
