internal import BlockingExecutor
internal import Settings

/// The database password as it is at each connection attempt: read again from its file, so that a corrected file works
/// without a restart.
final class PasswordCell: Sendable {
    private let postgres: Locked<DatabaseSettings>

    init(_ postgres: DatabaseSettings) {
        self.postgres = Locked(postgres)
    }

    /// After a reload.
    func update(_ settings: DatabaseSettings) {
        postgres.withLock { $0 = settings }
    }

    /// A file that cannot be read gives what was known before: the server then says that it is wrong.
    func password() -> String? {
        let settings = postgres.withLock { $0 }
        switch SettingsSource.readPassword(of: settings) {
        case .success(let secret): return secret?.reveal()
        case .failure: return settings.password?.reveal()
        }
    }
}
