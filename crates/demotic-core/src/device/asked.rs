//! Values on their way from a device.

use std::fmt;
#[cfg(feature = "remote")]
use std::pin::Pin;

#[cfg(feature = "remote")]
use std::task::{Context, Poll, Waker};

use burn::tensor::{Tensor, TensorData};

/// Values that a device was asked for, and that are waited for later.
///
/// Flex has them at once, and the bytes of `wgpu` come when they are looked at. Of another machine Burn's
/// synchronous read would wait for the answer, and with it for all that was sent before.
pub(crate) struct Asked(State);

enum State {
    Here(TensorData),
    #[cfg(feature = "remote")]
    Far(Coming),
}

#[cfg(feature = "remote")]
type Answer = Result<TensorData, String>;
#[cfg(feature = "remote")]
type Coming = Pin<Box<dyn Future<Output = Answer> + Send>>;

impl Asked {
    pub(crate) fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        #[cfg(feature = "remote")]
        if crate::ops::is_far(&tensor.device()) {
            let mut coming: Coming = Box::pin(async move {
                let answer = Box::pin(tensor.into_data_async()).await;
                answer.map_err(|lost| lost.to_string())
            });
            // The first poll sends the question.
            let polled = coming
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            return Self(match polled {
                Poll::Ready(answer) => State::Here(arrived(answer)),
                Poll::Pending => State::Far(coming),
            });
        }
        Self(State::Here(tensor.into_data()))
    }

    /// Waits for the values.
    ///
    /// # Panics
    /// Where the other machine is lost.
    pub(crate) fn wait(self) -> TensorData {
        match self.0 {
            State::Here(data) => data,
            #[cfg(feature = "remote")]
            State::Far(coming) => arrived(super::remote::waited(coming)),
        }
    }
}

#[cfg(feature = "remote")]
fn arrived(answer: Answer) -> TensorData {
    answer.unwrap_or_else(|lost| panic!("values of another machine did not come: {lost}"))
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Here(_) => "Here",
            #[cfg(feature = "remote")]
            State::Far(_) => "Far",
        })
    }
}
