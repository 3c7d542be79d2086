//! A name is one lock, byte for byte.

use lock_core::backend::{LockBackend, LockKey};
use lock_core::{LockErrorKind, MAX_KEY_BYTES};

use super::proof::{Failure, Proof, ensure, fail};
use super::scene::{Contender, Scene};

/// What names may end with; each pair would be one lock in a store that trims, folds, escapes,
/// normalises or cuts.
const SUFFIXES: [&str; 30] = [
    "a",
    "A",
    " a",
    "a ",
    "a\t",
    "a\n",
    "a\\n",
    "a\r\n",
    "{a}",
    "{a",
    "{}a",
    "[a]",
    "a*",
    "a?",
    "a||b",
    "a|b",
    "a%20b",
    "a+b",
    "a b",
    "a/b",
    "a/../b",
    "a:b",
    "a::b",
    "a'b",
    "a\"b",
    "é",
    "e\u{301}",
    "🔒",
    "\u{202e}a",
    "\u{200b}a",
];

pub(super) async fn names_are_kept_byte_for_byte(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    for suffix in SUFFIXES {
        let name = scene.other_name(suffix);
        let lock = service.lock(&name).ttl(scene.long());
        if refusal_is_clear(scene, &name).await? {
            continue;
        }
        let guard = lock.acquire().await?;
        ensure!(guard.name().as_str() == name.as_str(), "{name:?} became {:?}", guard.name());
        let rival = scene.contender_for(&name).await?;
        rival.is_refused(scene.long()).await?;
        ensure!(guard.release().await.is_released(), "the lock {name:?} could not be released");
    }
    Ok(())
}

pub(super) async fn names_that_look_alike_are_different_locks(scene: &Scene<'_>) -> Proof {
    for suffix in SUFFIXES {
        let contender = scene.contender_for(&scene.other_name(suffix)).await?;
        if contender.backend.check_key(&contender.key).is_err() {
            continue;
        }
        if contender.take(scene.long()).await.is_err() {
            fail!("the lock {:?} was taken together with another name", contender.key);
        }
    }
    Ok(())
}

pub(super) async fn the_longest_names_are_kept_whole(scene: &Scene<'_>) -> Proof {
    let room = MAX_KEY_BYTES - scene.name().len();
    let names = ["a", "b"].map(|end| scene.other_name(&format!("{}{end}", "x".repeat(room - 1))));
    for name in &names {
        let contender = scene.contender_for(name).await?;
        match contender.backend.check_key(&contender.key) {
            Ok(()) => contender.take(scene.long()).await.map(drop)?,
            Err(error) => ensure!(
                error.kind() == LockErrorKind::InvalidName,
                "a name of {MAX_KEY_BYTES} bytes was refused, but not as a name: {error}"
            ),
        }
    }
    Ok(())
}

pub(super) async fn names_that_are_not_allowed_are_refused(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    for name in ["", "a\0b", &"x".repeat(MAX_KEY_BYTES + 1)] {
        let lock = service.lock(name);
        is_invalid_name(lock.check())?;
        is_invalid_name(lock.try_acquire().await)?;
        is_invalid_name(lock.acquire().await)?;
        is_invalid_name(lock.execute(async |_lease| ()).await)?;
        is_invalid_name(service.try_acquire_lock(name, scene.long()).await)?;
    }
    Ok(())
}

pub(super) async fn a_namespace_is_a_literal_prefix(scene: &Scene<'_>) -> Proof {
    let prefix = format!("{}/ns", scene.name());
    let inside = scene.builder(scene.backend().await?).namespace(prefix.clone()).build();
    let _guard = inside.lock("/order").ttl(scene.long()).acquire().await?;
    let same: Contender = scene.contender_for(&scene.other_name("/ns/order")).await?;
    same.is_refused(scene.long()).await
}

pub(super) async fn namespaces_separate_services(scene: &Scene<'_>) -> Proof {
    let mut guards = Vec::new();
    for namespace in ["/a:", "/b:"] {
        let prefix = format!("{}{namespace}", scene.name());
        let service = scene.builder(scene.backend().await?).namespace(prefix).build();
        match service.lock("order").ttl(scene.long()).try_acquire().await? {
            Some(guard) => guards.push(guard),
            None => fail!("the same name in another namespace was taken"),
        }
    }
    Ok(())
}

/// Whether the backend refuses the name, which it must do in the same way everywhere.
async fn refusal_is_clear(scene: &Scene<'_>, name: &str) -> Result<bool, Failure> {
    let key = LockKey::new("", name)?;
    if scene.backend().await?.check_key(&key).is_ok() {
        return Ok(false);
    }
    let lock = scene.service().await?.lock(name);
    is_invalid_name(lock.check())?;
    is_invalid_name(lock.try_acquire().await)?;
    Ok(true)
}

fn is_invalid_name<T>(result: lock_core::Result<T>) -> Proof {
    match result {
        Err(error) if error.kind() == LockErrorKind::InvalidName => Ok(()),
        Err(error) => fail!("a name that is not allowed was refused, but not as a name: {error}"),
        Ok(_) => fail!("a name that is not allowed was taken"),
    }
}
