import Testing

@testable import Settings

/// One configuration file, as text.
func file(_ name: String, _ text: String) -> (name: String, bytes: [UInt8]) {
    (name, Array(text.utf8))
}

/// What a Linux user has, so that `STATE_DIRECTORY` has its default.
let home = ["HOME": "/home/pi"]

/// Loads flags alone.
func load(_ flags: String...) -> Result<LoadedSettings, SettingsProblems> {
    SettingsLoader.load(SettingsLoader.Input(environment: home, flags: flags))
}

/// Loads one file alone.
func load(file text: String) -> Result<LoadedSettings, SettingsProblems> {
    SettingsLoader.load(SettingsLoader.Input(files: [file("a.conf", text)], environment: home))
}

extension Result where Success == LoadedSettings, Failure == SettingsProblems {
    var settings: Settings? {
        if case .success(let loaded) = self { loaded.settings } else { nil }
    }

    var errors: [String] {
        if case .failure(let problems) = self { problems.errors.map(\.description) } else { [] }
    }

    var warnings: [String] {
        switch self {
        case .success(let loaded): loaded.warnings.map(\.description)
        case .failure(let problems): problems.warnings.map(\.description)
        }
    }

    func value(_ key: SettingKey) -> LoadedSettings.Value? {
        if case .success(let loaded) = self { loaded.values.first { $0.key == key } } else { nil }
    }
}
