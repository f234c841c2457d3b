/// What a pattern is about: one category, and tags for what went wrong.
public struct Classification: Sendable, Equatable {
    /// The part of a household's machine that a pattern speaks of. Fits a nibble; the order decides between equal scores,
    /// the more particular first. Raw values stand in batches (docs/formats/batch.md): never change one.
    public enum Category: UInt8, Sendable, CaseIterable {
        case power = 0
        case storage, auth, database, mqtt, container, update, time, network, web, automation, hardware, process, boot
        /// Whatever a program says about its own affairs.
        case application

        /// As it stands in JSON and in the database.
        public var name: StaticString {
            switch self {
            case .power: "power"
            case .storage: "storage"
            case .auth: "auth"
            case .database: "database"
            case .mqtt: "mqtt"
            case .container: "container"
            case .update: "update"
            case .time: "time"
            case .network: "network"
            case .web: "web"
            case .automation: "automation"
            case .hardware: "hardware"
            case .process: "process"
            case .boot: "boot"
            case .application: "application"
            }
        }
    }

    /// Up to 32 marks. Bits are part of what is stored: none is ever given another meaning.
    public struct Tags: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) {
            self.rawValue = rawValue
        }

        public static let underVoltage = Tags(rawValue: 1 << 0)
        public static let throttled = Tags(rawValue: 1 << 1)
        public static let overheating = Tags(rawValue: 1 << 2)
        public static let ioError = Tags(rawValue: 1 << 3)
        public static let filesystem = Tags(rawValue: 1 << 4)
        public static let readOnly = Tags(rawValue: 1 << 5)
        public static let diskFull = Tags(rawValue: 1 << 6)
        public static let outOfMemory = Tags(rawValue: 1 << 7)
        public static let crash = Tags(rawValue: 1 << 8)
        public static let failedLogin = Tags(rawValue: 1 << 9)
        /// Somebody became somebody else (`sudo`). Worth finding, nothing wrong.
        public static let privilege = Tags(rawValue: 1 << 10)
        public static let certificate = Tags(rawValue: 1 << 11)
        public static let linkDown = Tags(rawValue: 1 << 12)
        public static let connectionLost = Tags(rawValue: 1 << 13)
        public static let connectionRefused = Tags(rawValue: 1 << 14)
        public static let unreachable = Tags(rawValue: 1 << 15)
        public static let nameResolution = Tags(rawValue: 1 << 16)
        public static let timeout = Tags(rawValue: 1 << 17)
        public static let permissionDenied = Tags(rawValue: 1 << 18)
        /// A service that systemd or Docker starts again and again.
        public static let restartLoop = Tags(rawValue: 1 << 19)
        public static let failedStart = Tags(rawValue: 1 << 20)
        /// The machine goes down or comes up. Nothing wrong.
        public static let powerCycle = Tags(rawValue: 1 << 21)
        public static let clock = Tags(rawValue: 1 << 22)
        public static let usb = Tags(rawValue: 1 << 23)
        public static let wireless = Tags(rawValue: 1 << 24)
        public static let configuration = Tags(rawValue: 1 << 25)
        public static let update = Tags(rawValue: 1 << 26)
        public static let locked = Tags(rawValue: 1 << 27)
        public static let corruption = Tags(rawValue: 1 << 28)
        public static let batteryLow = Tags(rawValue: 1 << 29)
        /// A firewall or a ban turned somebody away.
        public static let blocked = Tags(rawValue: 1 << 30)

        /// The tags that say that something is wrong.
        public static let problems: Tags = Tags(rawValue: ~0).subtracting(
            [.privilege, .powerCycle, .usb, .wireless, .update]
        )

        /// The names of the tags in this set, in the order of the bits.
        public var wordList: [StaticString] { Self.names.filter { contains($0.tag) }.map(\.name) }

        /// Every tag with its name as it stands in JSON and in the database, in the order of the bits.
        public static let names: [(tag: Tags, name: StaticString)] = [
            (.underVoltage, "under-voltage"), (.throttled, "throttled"), (.overheating, "overheating"),
            (.ioError, "io-error"), (.filesystem, "filesystem"), (.readOnly, "read-only"), (.diskFull, "disk-full"),
            (.outOfMemory, "out-of-memory"), (.crash, "crash"), (.failedLogin, "failed-login"),
            (.privilege, "privilege"), (.certificate, "certificate"), (.linkDown, "link-down"),
            (.connectionLost, "connection-lost"), (.connectionRefused, "connection-refused"),
            (.unreachable, "unreachable"), (.nameResolution, "name-resolution"), (.timeout, "timeout"),
            (.permissionDenied, "permission-denied"), (.restartLoop, "restart-loop"), (.failedStart, "failed-start"),
            (.powerCycle, "power-cycle"), (.clock, "clock"), (.usb, "usb"), (.wireless, "wireless"),
            (.configuration, "configuration"), (.update, "update"), (.locked, "locked"), (.corruption, "corruption"),
            (.batteryLow, "battery-low"), (.blocked, "blocked"),
        ]
    }

    public var category: Category
    public var tags: Tags

    /// Without arguments: nothing is known.
    public init(category: Category = .application, tags: Tags = []) {
        self.category = category
        self.tags = tags
    }
}
