/// Settings with the story of each value: what `logboom config` shows and SIGHUP compares.
package struct LoadedSettings: Sendable, Equatable {
    /// One key's value as a person reads it.
    package struct Value: Sendable, Equatable {
        package var key: SettingKey
        /// As the configuration spells it; empty when unset, `(set)` for a secret.
        package var text: String
        package var origin: SettingOrigin
    }

    package var settings: Settings
    /// One for each key, in the order of ``SettingKey``.
    package var values: [Value]
    /// What is legal but probably not meant.
    package var warnings: [SettingsProblem]

    /// The keys whose values changed since `old`, apart by what SIGHUP can do about them.
    package struct ReloadDifferences: Sendable, Equatable {
        package var applied: [SettingKey]
        package var needsRestart: [SettingKey]

        /// One sentence for the daemon's log; secrets are named, not shown.
        package var summary: String {
            if applied.isEmpty, needsRestart.isEmpty { return "nothing changed" }
            var parts: [String] = []
            if !applied.isEmpty { parts.append("applied " + applied.map(\.rawValue).joined(separator: ", ")) }
            if !needsRestart.isEmpty {
                parts.append("a restart is needed for " + needsRestart.map(\.rawValue).joined(separator: ", "))
            }
            return parts.joined(separator: "; ")
        }
    }

    /// What changed since `old`. A new password counts as applied only while the rest of PostgreSQL's keys stay as they
    /// were: it may belong to another role or server.
    package func reloadDifferences(from old: LoadedSettings) -> ReloadDifferences {
        var changed = zip(values, old.values).filter { $0.text != $1.text }.map(\.0.key)
        if settings.postgres?.password != old.settings.postgres?.password, !changed.contains(.postgresPassword) {
            changed.append(.postgresPassword)
        }
        if settings.access.tokens != old.settings.access.tokens, !changed.contains(.tokensFile) {
            changed.append(.tokensFile)
        }
        let isOtherServer = changed.contains { $0.definition.section == .postgres && !$0.isReloadable }
        // The ports stay as they are until the restart, and so does what let them be opened.
        let wouldOpen =
            settings.access.tokens == nil && !old.settings.isInsecureAllowed
            && old.settings.tls?.clientAuthority == nil
            && old.settings.listen.contains { !$0.isLoopback }
        let applied = changed.filter { key in
            key.isReloadable && !(isOtherServer && key.definition.section == .postgres)
                && !(wouldOpen && key == .tokensFile)
        }
        return ReloadDifferences(applied: applied, needsRestart: changed.filter { !applied.contains($0) })
    }

    /// These settings as they run after a reload of `new`: what ``reloadDifferences(from:)`` calls applied is new, all else
    /// is as it was.
    package func reloaded(with new: LoadedSettings) -> LoadedSettings {
        var running = self
        for key in new.reloadDifferences(from: self).applied {
            key.definition.reload?(&running.settings, new.settings)
            if let index = running.values.firstIndex(where: { $0.key == key }) {
                running.values[index] = new.values[index]
            }
        }
        running.warnings = new.warnings
        return running
    }
}
