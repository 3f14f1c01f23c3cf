//! Weights that kernels packed.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::host::pages::Pool;

/// Weights in the form that kernels want, made once per compiled graph and shared by its plans and sessions.
#[derive(Default)]
pub(crate) struct PackedWeights {
    shelf: Mutex<Shelf>,
    pool: Pool,
}

/// By node, kernel, and whether the input's pixels lie apart: then a window's weights come in another order.
type Shelf = HashMap<(usize, &'static str, bool), Arc<dyn Any + Send + Sync>>;

impl PackedWeights {
    /// What `kernel` packed for the node (or value) `index`, made by `pack` the first time.
    pub(crate) fn get<T: Any + Send + Sync>(
        &self,
        index: usize,
        kernel: &'static str,
        apart: bool,
        pack: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Arc<T>, Error> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (index, kernel, apart);
        if let Some(Ok(packed)) = shelf.get(&key).map(|packed| Arc::clone(packed).downcast()) {
            return Ok(packed);
        }
        let packed = Arc::new(pack()?);
        shelf.insert(key, Arc::clone(&packed) as Arc<dyn Any + Send + Sync>);
        Ok(packed)
    }

    /// Drops what no plan uses: the weights of kernels that were only timed.
    pub(crate) fn drop_unused(&self) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.retain(|_, packed| Arc::strong_count(packed) > 1);
    }

    /// Where packed weights go.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }
}
